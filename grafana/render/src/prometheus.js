// Asks Prometheus and makes of its answers the data frames that Grafana's backend makes of them;
// `transformV2` of Grafana's Prometheus data source then does what it does in Grafana's browser part.
import { FieldType } from '@grafana/data';
import { transformV2 } from '../node_modules/@grafana/prometheus/dist/esm/result_transformer.mjs';

export async function api(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    query.append(name, value);
  }
  const response = await fetch(`/api/v1/${path}?${query}`);
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`Prometheus answers ${response.status}: ${text.slice(0, 200)}`);
  }
  if (answer.status !== 'success') {
    throw new Error(`${answer.errorType}: ${answer.error}`);
  }
  return answer.data;
}

const number = (text) => ({ '+Inf': Infinity, '-Inf': -Infinity })[text] ?? Number(text);

function seriesOf(data) {
  switch (data.resultType) {
    case 'matrix':
      return data.result.map(({ metric, values }) => ({ metric, values }));
    case 'vector':
      return data.result.map(({ metric, value }) => ({ metric, values: [value] }));
    case 'scalar':
      return [{ metric: {}, values: [data.result] }];
    default:
      throw new Error(`an answer of type ${data.resultType} is not known here`);
  }
}

/** The legend as the backend makes it: `{{label}}` in the format, else left to the browser part. */
function legend(target, metric) {
  const format = target.legendFormat;
  if (!format || format === '__auto') {
    return Object.keys(metric).length === 0 ? target.expr : undefined;
  }
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => metric[label] ?? '');
}

function frameOf(target, resultType, stepMs, { metric, values }) {
  const name = metric.__name__ ?? 'Value';
  return {
    refId: target.refId,
    meta: { type: 'timeseries-multi', custom: { resultType } },
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        config: { interval: stepMs },
        values: values.map(([seconds]) => seconds * 1000),
      },
      {
        name,
        type: FieldType.number,
        labels: metric,
        config: { displayNameFromDS: legend(target, metric) },
        values: values.map(([, text]) => number(text)),
      },
    ],
    length: values.length,
  };
}

/** The frames of one target whose `expr` has no variables left. */
async function ask(target, time) {
  const step = time.stepMs / 1000;
  // The backend asks at whole steps, so that a graph does not change as time goes on.
  const aligned = (ms) => Math.floor(ms / time.stepMs) * step;
  const data = target.instant
    ? await api('query', { query: target.expr, time: time.to / 1000 })
    : await api('query_range', { query: target.expr, start: aligned(time.from), end: aligned(time.to), step });
  return seriesOf(data).map((series) => frameOf(target, data.resultType, time.stepMs, series));
}

/** What a panel's targets come to. */
export async function query(targets, time) {
  const answers = await Promise.all(targets.map((target) => ask(target, time)));
  return transformV2({ data: answers.flat() }, { targets }, {}).data;
}
