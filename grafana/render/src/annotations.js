// When the dashboard's annotations happened. Grafana draws them in its application core, so that the
// lines here are a stand-in.
import { interpolator } from './interpolate.js';
import { api } from './prometheus.js';

/** The starts of each run of samples that are not 0, or the values where these are the times. */
function starts(annotation, values, stepMs) {
  if (annotation.useValueForTime) {
    return [...new Set(values.map(([, text]) => Math.floor(Number(text))))];
  }
  const times = values.filter(([, text]) => Number(text) !== 0).map(([seconds]) => seconds * 1000);
  return times.filter((at, index) => index === 0 || at - times[index - 1] > 1.5 * stepMs);
}

async function found(annotation, { time, variables }) {
  // Finer than Grafana asks, so that what was short is seen too.
  const stepMs = Math.max(time.scrapeMs, Math.ceil((time.to - time.from) / 500));
  const { query } = interpolator(variables, time, { __interval: `${stepMs}ms` });
  const { result } = await api('query_range', {
    query: query(annotation.target.expr),
    start: time.from / 1000,
    end: time.to / 1000,
    step: stepMs / 1000,
  });
  return result
    .flatMap(({ values }) => starts(annotation, values, stepMs))
    .filter((at) => at >= time.from && at <= time.to)
    .map((at) => ({ at, color: annotation.iconColor }));
}

/** All occurrences of all enabled annotations. */
export async function occurrences(dashboard, context) {
  const all = [];
  for (const annotation of dashboard.annotations?.list ?? []) {
    if (!annotation.enable || !annotation.target?.expr) {
      continue;
    }
    try {
      all.push(...(await found(annotation, context)));
    } catch (error) {
      context.report.error(`annotation "${annotation.name}": ${error.message}`);
    }
  }
  return all;
}
