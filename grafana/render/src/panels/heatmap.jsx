// A stand-in: Grafana's heatmap is in its application core, which is not published. The cells are
// those of the data source's frame, and the colours those of the panel's scheme.
import { FieldType, formattedValueToString, getValueFormat } from '@grafana/data';
import * as schemes from 'd3-scale-chromatic';
import { useEffect, useRef } from 'react';

const AXIS = 24;

const colours = ({ scheme = 'Oranges', reverse = false }) => {
  const interpolate = schemes[`interpolate${scheme}`];
  return (part) => interpolate(reverse ? 1 - part : part);
};

/** The buckets from the lowest to the highest bound, each with its counts. */
function bucketsOf(frame) {
  return frame.fields
    .filter(({ type }) => type === FieldType.number)
    .map((field) => ({ bound: Number((field.config.displayNameFromDS ?? field.name).replace('+Inf', 'Infinity')), field }))
    .sort((one, other) => one.bound - other.bound);
}

function paint(canvas, { buckets, times, time, stepMs, width, height, options }) {
  const pen = canvas.getContext('2d');
  const least = options.filterValues?.le ?? 1e-9;
  const counts = buckets.flatMap(({ field }) => field.values).filter((count) => count > least);
  const most = Math.max(...counts);
  const colour = colours(options.color ?? {});
  const exponent = options.color?.exponent ?? 0.5;
  const at = (ms) => ((ms - time.from) / (time.to - time.from)) * width;
  const lane = height / buckets.length;
  pen.clearRect(0, 0, width, height);
  buckets.forEach(({ field }, row) => {
    field.values.forEach((count, index) => {
      if (count > least) {
        pen.fillStyle = colour((count / most) ** exponent);
        pen.fillRect(at(times[index] - stepMs), height - (row + 1) * lane, Math.max(1, at(stepMs + time.from) - 0.5), lane - 1);
      }
    });
  });
}

export function HeatmapPanel({ panel, width, height, time, theme }) {
  const canvas = useRef(null);
  const { frames, options, stepMs } = panel;
  if (frames.length > 1) {
    throw new Error(`the heatmap has ${frames.length} frames and shows only one`);
  }
  const buckets = bucketsOf(frames[0]);
  const times = frames[0].fields.find(({ type }) => type === FieldType.time).values;
  const left = 64;
  const [wide, high] = [width - left, height - AXIS];
  useEffect(() => {
    paint(canvas.current, { buckets, times, time, stepMs, width: wide, height: high, options });
  });
  const format = getValueFormat(options.yAxis?.unit ?? 'short');
  const every = Math.ceil(buckets.length / Math.floor(high / 18));
  const label = { position: 'absolute', fontSize: 12, color: theme.colors.text.secondary };
  return (
    <div style={{ position: 'relative', width, height }}>
      {buckets.map(({ bound }, row) =>
        row % every === 0 ? (
          <span
            key={bound}
            style={{ ...label, left: 0, width: left - 8, textAlign: 'right', top: high - ((row + 1) * high) / buckets.length - 8 }}
          >
            {Number.isFinite(bound) ? formattedValueToString(format(bound, options.yAxis?.decimals)) : '+Inf'}
          </span>
        ) : null
      )}
      <canvas ref={canvas} width={wide} height={high} style={{ position: 'absolute', left, top: 0 }} />
      {[0.1, 0.3, 0.5, 0.7, 0.9].map((part) => (
        <span key={part} style={{ ...label, left: left + part * wide, top: high + 4, transform: 'translateX(-50%)' }}>
          {new Date(time.from + part * (time.to - time.from)).toISOString().slice(11, 19)}
        </span>
      ))}
    </div>
  );
}
