// What one panel shows: its queries' frames after the transformations and the field options.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  fieldMatchers,
  rangeUtil,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import { interpolator } from './interpolate.js';
import { broken } from './links.js';
import { ownDefaults } from './panels/index.js';
import { query } from './prometheus.js';
import { optionsOf } from './registries.js';

/** The built-in variables of a query, as Grafana's Prometheus data source computes them. */
function builtIns(time, stepMs) {
  const rateMs = Math.max(stepMs + time.scrapeMs, 4 * time.scrapeMs);
  const rangeMs = time.to - time.from;
  const text = (ms) => (ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`);
  return {
    __interval: text(stepMs),
    __interval_ms: stepMs,
    __rate_interval: text(rateMs),
    __range: `${Math.round(rangeMs / 1000)}s`,
    __range_s: Math.round(rangeMs / 1000),
    __range_ms: rangeMs,
  };
}

function stepOf(panel, target, time) {
  const lowest = target.interval || panel.interval;
  const lowestMs = lowest ? rangeUtil.intervalToMs(lowest) : time.scrapeMs;
  const points = panel.maxDataPoints ?? panel.box.width;
  const { intervalMs } = rangeUtil.calculateInterval(time.range, points, `${lowestMs}ms`);
  return Math.max(intervalMs, lowestMs) * (target.intervalFactor || 1);
}

function targetsOf(panel, { time, variables }) {
  const asked = (panel.targets ?? []).filter(({ hide }) => !hide);
  const steps = asked.map((target) => stepOf(panel, target, time));
  const stepMs = Math.max(...steps, time.scrapeMs);
  const { query, text } = interpolator(variables, time, builtIns(time, stepMs));
  const targets = asked.map((target) => ({
    ...target,
    expr: query(target.expr),
    legendFormat: target.legendFormat && text(target.legendFormat),
  }));
  return { targets, stepMs, replace: text };
}

/** What Grafana's code leaves out without a word, as it knows nothing of that name. */
function refuseUnknown({ transformations = [], fieldConfig }) {
  for (const { id } of transformations) {
    if (!standardTransformersRegistry.getIfExists(id)) {
      throw new Error(`the transformation "${id}" is not among the published ones`);
    }
  }
  for (const { matcher } of fieldConfig.overrides) {
    if (!fieldMatchers.getIfExists(matcher.id)) {
      throw new Error(`an override's matcher is "${matcher.id}", which is not known`);
    }
  }
}

/** The overrides that match no field, by what they look for. */
function unmatched(frames, { overrides }) {
  const matches = ({ id, options }) => {
    const matcher = fieldMatchers.get(id).get(options);
    return frames.some((frame) => frame.fields.some((field) => matcher(field, frame, frames)));
  };
  return overrides.filter(({ matcher }) => !matches(matcher)).map(({ matcher }) => matcher.options ?? matcher.id);
}

async function framesOf(panel, { time, variables, theme }) {
  refuseUnknown(panel);
  const { targets, stepMs, replace } = targetsOf(panel, { time, variables });
  const raw = targets.length === 0 ? [] : await query(targets, { ...time, stepMs });
  const shaped = await lastValueFrom(transformDataFrame(panel.transformations ?? [], raw, { interpolate: replace }));
  const { fieldConfig } = panel;
  const frames = applyFieldOverrides({
    data: shaped,
    fieldConfig,
    fieldConfigRegistry: optionsOf(fieldConfig, ownDefaults(panel.type)),
    replaceVariables: replace,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(frames);
  return { frames, fieldConfig, replace, stepMs, unmatched: unmatched(shaped, fieldConfig) };
}

const isEmpty = (frames) => frames.every(({ length, fields }) => !length || fields.length === 0);

/** The panel with its data; what goes wrong is reported and drawn as an empty panel. */
export async function panelData(panel, context) {
  const { variables, time, report, dashboards } = context;
  const { text } = interpolator(variables, time);
  const known = { ...panel, title: text(panel.title ?? '') };
  if (panel.type === 'row') {
    return known;
  }
  if (panel.repeat) {
    report.error(`panel "${known.title}" repeats, which is not done here`);
  }
  if (!panel.targets) {
    return { ...known, frames: [], content: text(panel.options?.content ?? '') };
  }
  try {
    const data = await framesOf(withDefaults(panel), context);
    if (isEmpty(data.frames)) {
      report.note(`no data: ${known.title}`);
    }
    data.unmatched.forEach((what) => report.note(`no field for an override: ${known.title}: ${JSON.stringify(what)}`));
    broken({ ...known, ...data }, data.replace, dashboards).forEach((fault) => report.error(`${known.title}: ${fault}`));
    return { ...known, ...data };
  } catch (error) {
    report.error(`panel "${known.title}": ${error.message}`);
    return { ...known, frames: [], broken: error.message };
  }
}

/** With the panel type's own field options where the dashboard does not set them. */
function withDefaults(panel) {
  const defaults = panel.fieldConfig?.defaults ?? {};
  const custom = { ...ownDefaults(panel.type), ...defaults.custom };
  const overrides = panel.fieldConfig?.overrides ?? [];
  return { ...panel, fieldConfig: { defaults: { ...defaults, custom }, overrides } };
}
