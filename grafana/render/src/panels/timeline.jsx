// A stand-in: Grafana's state timeline and status history are in its application core, which is not
// published. Names, texts and colours come from the same frames and options.
import { colorManipulator, FieldType, getFieldDisplayName } from '@grafana/data';
import { VizLegend } from '@grafana/ui';

const AXIS = 24;
const LEGEND = 28;
/** Grafana shows so many lanes at once, and the others on further pages. */
const PER_PAGE = 20;
const LINE = 12;

/** The stretches of equal value of one field; a gap ends a stretch. */
function stretches(time, field, until, stepMs) {
  const found = [];
  time.values.forEach((from, index) => {
    const value = field.values[index];
    const last = found.at(-1);
    if (last && Object.is(last.value, value) && from - last.to <= 0.5 * stepMs) {
      last.to = from + stepMs;
    } else if (value !== null && value !== undefined) {
      found.push({ value, from, to: from + stepMs });
    }
  });
  return found.map((each) => ({ ...each, to: Math.min(each.to, until) }));
}

function lanesOf({ frames, stepMs }, { to }) {
  return frames.flatMap((frame) => {
    const time = frame.fields.find(({ type }) => type === FieldType.time);
    const states = frame.fields.filter((field) => field !== time && field.type !== FieldType.time);
    return states.map((field) => ({
      name: getFieldDisplayName(field, frame, frames),
      field,
      stretches: stretches(time, field, to, stepMs),
    }));
  });
}

function Axis({ time, left, width, top, theme }) {
  const count = Math.max(2, Math.floor(width / 120));
  const marks = Array.from({ length: count }, (_, index) => time.from + ((index + 0.5) / count) * (time.to - time.from));
  const at = (ms) => left + ((ms - time.from) / (time.to - time.from)) * width;
  const style = { position: 'absolute', top, fontSize: 12, color: theme.colors.text.secondary, whiteSpace: 'nowrap' };
  return marks.map((ms) => (
    <span key={ms} style={{ ...style, left: at(ms), transform: 'translateX(-50%)' }}>
      {new Date(ms).toISOString().slice(11, 19)}
    </span>
  ));
}

function Bar({ field, stretch, place, theme, showValue, opacity }) {
  const display = field.display(stretch.value);
  const style = {
    position: 'absolute',
    ...place,
    background: colorManipulator.alpha(theme.visualization.getColorByName(display.color), opacity / 100),
    overflow: 'hidden',
    whiteSpace: 'nowrap',
    fontSize: 12,
    color: theme.colors.getContrastText(display.color ?? '#000000', 0.5),
    padding: '0 4px',
    display: 'flex',
    alignItems: 'center',
  };
  const fits = display.text.length * 7 + 8 < place.width && place.height >= LINE;
  return <div style={style}>{showValue === 'always' || (showValue !== 'never' && fits) ? display.text : ''}</div>;
}

function legendOf(lanes) {
  const items = new Map();
  for (const { field, stretches } of lanes) {
    for (const { value } of stretches) {
      const { text, color } = field.display(value);
      items.set(text, { label: text, color, yAxis: 1 });
    }
  }
  return [...items.values()];
}

export function TimelinePanel({ panel, width, height, time, theme }) {
  const { showValue, rowHeight = 0.9, legend, perPage = PER_PAGE } = panel.options;
  const all = lanesOf(panel, time);
  const lanes = all.slice(0, perPage);
  const longest = Math.max(...lanes.map(({ name }) => name.length));
  const left = Math.min(longest * 6.4 + 12, width * 0.4);
  const below = AXIS + (legend?.showLegend ? LEGEND : 0);
  const lane = (height - below) / lanes.length;
  const at = (ms) => ((Math.max(ms, time.from) - time.from) / (time.to - time.from)) * (width - left);
  return (
    <div style={{ position: 'relative', width, height }}>
      {lanes.map(({ name, field, stretches }, row) => (
        <div key={name}>
          <span
            style={{ position: 'absolute', top: row * lane, height: lane, width: left - 8, fontSize: 12, overflow: 'hidden',
              textOverflow: 'ellipsis', whiteSpace: 'nowrap', lineHeight: `${lane}px`, textAlign: 'right' }}
          >
            {name}
          </span>
          {stretches.map((stretch) => (
            <Bar
              key={stretch.from}
              place={{
                left: left + at(stretch.from),
                width: Math.max(1, at(stretch.to) - at(stretch.from)),
                top: row * lane + (lane * (1 - rowHeight)) / 2,
                height: lane * rowHeight,
              }}
              opacity={field.config.custom.fillOpacity}
              {...{ field, stretch, theme, showValue }}
            />
          ))}
        </div>
      ))}
      <Axis {...{ time, left, theme }} width={width - left} top={height - below + 4} />
      {legend?.showLegend && (
        <div style={{ position: 'absolute', bottom: 0, left: 0, right: 0, display: 'flex', gap: 16 }}>
          {all.length > lanes.length && <span style={{ whiteSpace: 'nowrap', fontSize: 12 }}>{`page 1 of ${Math.ceil(all.length / perPage)}`}</span>}
          <VizLegend items={legendOf(lanes)} displayMode="list" placement="bottom" />
        </div>
      )}
    </div>
  );
}
