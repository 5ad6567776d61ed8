import { TableNG } from '@grafana/ui/unstable';

export function TablePanel({ panel, width, height, time }) {
  const { options, frames } = panel;
  if (frames.length > 1) {
    throw new Error(`the table has ${frames.length} frames and shows only one: merge them`);
  }
  return (
    <TableNG
      data={frames[0]}
      noHeader={options.showHeader === false}
      showTypeIcons={options.showTypeIcons}
      resizable
      sortBy={options.sortBy}
      cellHeight={options.cellHeight}
      timeRange={time.range}
      fieldConfig={panel.fieldConfig}
      frozenColumns={options.frozenColumns?.left}
      noValue={panel.fieldConfig.defaults.noValue}
      structureRev={1}
      enableVirtualization={false}
      {...{ width, height }}
    />
  );
}
