// Which drawing a type of panel has, and the field options that Grafana's plugin of that type starts
// from where a dashboard sets none.
import { BarGaugePanel } from './bar_gauge.jsx';
import { HeatmapPanel } from './heatmap.jsx';
import { StatPanel } from './stat.jsx';
import { TablePanel } from './table.jsx';
import { TextPanel } from './text.jsx';
import { TimelinePanel } from './timeline.jsx';
import { TimeSeriesPanel } from './time_series.jsx';

export const drawings = {
  bargauge: BarGaugePanel,
  heatmap: HeatmapPanel,
  stat: StatPanel,
  'state-timeline': TimelinePanel,
  'status-history': TimelinePanel,
  table: TablePanel,
  text: TextPanel,
  timeseries: TimeSeriesPanel,
};

const OWN = {
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    barAlignment: 0,
    barWidthFactor: 0.6,
    showPoints: 'auto',
    pointSize: 5,
    spanNulls: false,
    insertNulls: false,
    showValues: false,
    stacking: { mode: 'none', group: 'A' },
    axisPlacement: 'auto',
    axisLabel: '',
    axisColorMode: 'text',
    axisGridShow: true,
    axisBorderShow: false,
    axisCenteredZero: false,
    scaleDistribution: { type: 'linear' },
    thresholdsStyle: { mode: 'off' },
    hideFrom: { tooltip: false, viz: false, legend: false },
  },
  'state-timeline': { lineWidth: 1, fillOpacity: 70 },
  'status-history': { lineWidth: 1, fillOpacity: 70 },
};

export const ownDefaults = (type) => OWN[type] ?? {};
