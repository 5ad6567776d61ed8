import { getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from '@grafana/data';
import { BigValue, BigValueTextMode, VizRepeater } from '@grafana/ui';

const REDUCE = { calcs: ['lastNotNull'], fields: '', values: false };

/** The values of a panel that reduces its fields, as stat and bar gauge do. */
export function displayed({ panel, theme }, sparkline) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: { ...REDUCE, ...panel.options.reduceOptions },
    replaceVariables: panel.replace,
    theme,
    data: panel.frames,
    sparkline,
    timeZone: 'utc',
  });
}

function textMode({ options, fieldConfig, frames }) {
  const named = fieldConfig.defaults.displayName || frames.length === 0;
  return (options.textMode ?? 'auto') === 'auto' && named ? BigValueTextMode.ValueAndName : options.textMode;
}

export function StatPanel({ panel, width, height, theme, time }) {
  const { options } = panel;
  const graph = options.graphMode ?? 'area';
  const render = ({ value, alignmentFactors, width, height, count }) => (
    <BigValue
      value={value.display}
      count={count}
      sparkline={value.sparkline && { ...value.sparkline, timeRange: time.range }}
      colorMode={options.colorMode ?? 'value'}
      graphMode={graph}
      justifyMode={options.justifyMode ?? 'auto'}
      textMode={textMode(panel)}
      alignmentFactors={alignmentFactors}
      text={options.text}
      disableWideLayout={options.wideLayout === false}
      {...{ width, height, theme }}
    />
  );
  return (
    <VizRepeater
      getValues={() => displayed({ panel, theme }, graph !== 'none')}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={render}
      source={panel.frames}
      itemSpacing={3}
      renderCounter={0}
      autoGrid
      orientation={options.orientation ?? VizOrientation.Auto}
      {...{ width, height }}
    />
  );
}
