import { getDisplayValueAlignmentFactors, VizOrientation } from '@grafana/data';
import { BarGauge, VizRepeater } from '@grafana/ui';
import { displayed } from './stat.jsx';

export function BarGaugePanel({ panel, width, height, theme }) {
  const { options } = panel;
  const sized = options.sizing === 'manual' ? options : { minVizWidth: 8, minVizHeight: 16, maxVizHeight: 300 };
  const render = ({ value, alignmentFactors, orientation, width, height, count }) => (
    <BarGauge
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex)}
      orientation={orientation}
      alignmentFactors={count > 1 ? alignmentFactors : undefined}
      text={options.text}
      itemSpacing={10}
      lcdCellWidth={12}
      displayMode={options.displayMode ?? 'gradient'}
      showUnfilled={options.showUnfilled ?? true}
      valueDisplayMode={options.valueMode ?? 'color'}
      namePlacement={options.namePlacement ?? 'auto'}
      {...{ width, height, theme }}
    />
  );
  return (
    <VizRepeater
      getValues={() => displayed({ panel, theme }, false)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={render}
      source={panel.frames}
      itemSpacing={10}
      renderCounter={0}
      minVizWidth={sized.minVizWidth}
      minVizHeight={sized.minVizHeight}
      maxVizHeight={sized.maxVizHeight}
      orientation={options.orientation ?? VizOrientation.Auto}
      {...{ width, height }}
    />
  );
}
