// Chooses the values of a dashboard's variables, one after another, as a visitor's first look does.
import { api } from './prometheus.js';
import { ALL, interpolator } from './interpolate.js';

const LABEL_VALUES = /^label_values\((?:(.+),\s*)?([a-zA-Z_]\w*)\)$/;
const QUERY_RESULT = /^query_result\((.+)\)$/;

function filtered(values, regex) {
  if (!regex) {
    return values;
  }
  const [, body, flags] = /^\/(.*)\/(\w*)$/.exec(regex) ?? [undefined, `^${regex}$`, ''];
  const pattern = new RegExp(body, flags.replace('g', ''));
  return values.flatMap((value) => {
    const found = pattern.exec(value);
    return found ? [found[1] ?? found[0]] : [];
  });
}

async function asked(text, time) {
  const labels = LABEL_VALUES.exec(text);
  if (labels) {
    const match = labels[1] ? { 'match[]': labels[1] } : {};
    return api(`label/${labels[2]}/values`, { ...match, start: time.from / 1000, end: time.to / 1000 });
  }
  const result = QUERY_RESULT.exec(text);
  if (!result) {
    throw new Error(`"${text}" is neither label_values(…) nor query_result(…)`);
  }
  const { result: samples } = await api('query', { query: result[1], time: time.to / 1000 });
  return samples.map(({ metric: { __name__: name = '', ...labels }, value }) => {
    const written = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
    return `${name}{${written.join(',')}} ${value[1]} ${value[0] * 1000}`;
  });
}

async function candidates(variable, known, time) {
  switch (variable.type) {
    case 'datasource':
      return ['Prometheus'];
    case 'query': {
      const text = typeof variable.query === 'string' ? variable.query : variable.query.query;
      const values = filtered(await asked(interpolator(known, time).query(text), time), variable.regex);
      return variable.sort ? [...new Set(values)].sort() : [...new Set(values)];
    }
    case 'custom':
    case 'interval':
      return variable.query.split(',').map((part) => part.trim().split(' : ').pop());
    case 'constant':
    case 'textbox':
      return [variable.query ?? ''];
    default:
      throw new Error(`variables of type ${variable.type} are not known here`);
  }
}

function choose(variable, values, chosen) {
  if (chosen !== undefined) {
    return chosen.split(',');
  }
  const current = [variable.current?.value ?? []].flat().filter((value) => value !== '');
  const kept = current.filter((value) => value === ALL || values.includes(value));
  if (kept.length > 0) {
    return kept;
  }
  return variable.includeAll ? [ALL] : values.slice(0, 1);
}

/** The variables by name, with their values; `chosen` has those that the visitor picks. */
export async function resolve(dashboard, chosen, time, report) {
  const known = {};
  for (const variable of dashboard.templating?.list ?? []) {
    try {
      const values = await candidates(variable, known, time);
      const picked = choose(variable, values, chosen[variable.name]);
      if (picked.length === 0) {
        report.error(`variable ${variable.name} has no values`);
      }
      const all = picked.includes(ALL);
      known[variable.name] = { ...variable, all, values: all ? values : picked };
    } catch (error) {
      report.error(`variable ${variable.name}: ${error.message}`);
      known[variable.name] = { ...variable, values: [''] };
    }
  }
  return known;
}
