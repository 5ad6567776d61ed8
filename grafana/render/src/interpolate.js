// Puts the variables' values into queries, titles, legends and links, by the code that Grafana's
// dashboards have for it.
import { CustomVariable, EmbeddedScene, SceneFlexLayout, sceneGraph, SceneTimeRange, SceneVariableSet } from '@grafana/scenes';
import { prometheusRegularEscape, prometheusSpecialRegexEscape } from '../node_modules/@grafana/prometheus/dist/esm/escaping.mjs';

export const ALL = '$__all';

/** The text to show for a variable. */
export const shown = (variable) => (variable.all ? 'All' : variable.values.join(' + '));

function sceneVariable({ name, multi, includeAll, allValue, all, values, type }) {
  const value = multi ? (all ? [ALL] : values) : values[0];
  return new CustomVariable({
    name,
    isMulti: multi,
    includeAll,
    allValue,
    value,
    text: multi && all ? ['All'] : value,
    options: values.map((each) => ({ value: each, label: each })),
    skipUrlSync: type === 'constant',
  });
}

/** As Grafana's Prometheus data source escapes a variable's value in a query. */
function escaped(value, { multi, includeAll }) {
  if (!multi && !includeAll) {
    return prometheusRegularEscape(value);
  }
  if (typeof value === 'string') {
    return prometheusSpecialRegexEscape(value);
  }
  const each = value.map(prometheusSpecialRegexEscape);
  return each.length === 1 ? each[0] : `(${each.join('|')})`;
}

/** Replaces what these variables, by name, stand for; `builtIns` are `$__interval` and its like. */
export function interpolator(variables, time, builtIns = {}) {
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({ ...time.range.raw, timeZone: 'utc' }),
    $variables: new SceneVariableSet({ variables: Object.values(variables).map(sceneVariable) }),
    body: new SceneFlexLayout({ children: [] }),
  });
  const known = Object.entries(builtIns).map(([name, value]) => [name, { value, text: value }]);
  const scoped = Object.fromEntries(known);
  const text = (given, more, format) => sceneGraph.interpolate(scene, given, { ...scoped, ...more }, format);
  return { text, query: (given) => text(given, {}, escaped) };
}
