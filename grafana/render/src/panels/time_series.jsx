import { FieldType } from '@grafana/data';
import { TimeSeries } from '@grafana/ui';
import { applyNullInsertThreshold } from '../../node_modules/@grafana/ui/dist/esm/graveyard/GraphNG/nullInsertThreshold.mjs';

const LEGEND = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] };

/** The fields that can be drawn; what is not finite is a gap, and so is what is not there. */
function drawable(given, { from, to }) {
  const frame = applyNullInsertThreshold({ frame: given, refFieldPseudoMin: from, refFieldPseudoMax: to });
  const fields = frame.fields.flatMap((field) => {
    if (field.type === FieldType.number) {
      return [{ ...field, values: field.values.map((value) => (Number.isFinite(value) ? value : null)) }];
    }
    return field.type === FieldType.time ? [field] : [];
  });
  return { ...frame, fields };
}

/** Draws a line where each annotation happened. */
function mark(builder, annotations, theme) {
  builder.addHook('draw', (plot) => {
    const { ctx, bbox } = plot;
    for (const { at, color } of annotations) {
      const x = Math.round(plot.valToPos(at, 'x', true));
      ctx.save();
      ctx.strokeStyle = theme.visualization.getColorByName(color);
      ctx.setLineDash([5, 5]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.restore();
    }
  });
}

export function TimeSeriesPanel({ panel, width, height, time, annotations, theme }) {
  return (
    <TimeSeries
      frames={panel.frames.map((frame) => drawable(frame, time))}
      structureRev={1}
      timeRange={time.range}
      timeZone="utc"
      legend={{ ...LEGEND, ...panel.options.legend }}
      options={panel.options}
      {...{ width, height }}
    >
      {(builder) => {
        mark(builder, annotations, theme);
        return null;
      }}
    </TimeSeries>
  );
}
