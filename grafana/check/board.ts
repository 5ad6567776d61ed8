// What a dashboard of this repository may have: Grafana's own types, closed. Those of a panel's
// options allow any key, so that they are put together here by the panel's kind.

import type * as grafana from '@grafana/schema';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as stateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// In JSON an enum is one of its values.
type Json<T> = T extends string
  ? `${T}`
  : T extends number
    ? `${T}` extends `${infer N extends number}`
      ? N
      : never
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T;

type Source = { type: 'prometheus'; uid: '${datasource}' };

// The query of a Prometheus data source; its types are in no package.
type Query = {
  datasource: Source;
  editorMode?: 'code' | 'builder';
  exemplar?: boolean;
  expr: string;
  format?: 'time_series' | 'table' | 'heatmap';
  hide?: boolean;
  instant?: boolean;
  interval?: string;
  legendFormat: string;
  range?: boolean;
  refId: string;
};

type DataLink = { targetBlank: boolean; title: string; url: string };

type Field<Custom> = Omit<grafana.FieldConfig, 'custom' | 'links'> & {
  custom?: Partial<Custom>;
  links?: DataLink[];
};

// One property of an override: of the field, or of what only this kind of panel knows.
type Property<Custom> =
  | { [K in Exclude<keyof Field<Custom>, 'custom'>]: { id: K; value: Field<Custom>[K] } }[Exclude<
      keyof Field<Custom>,
      'custom'
    >]
  | { [K in keyof Custom & string]: { id: `custom.${K}`; value: Custom[K] } }[keyof Custom & string]
  | { id: 'custom.width'; value: number };

type Matcher =
  | { id: 'byName' | 'byRegexp' | 'byFrameRefID' | 'byType'; options: string }
  | { id: 'byNames'; options: { mode?: 'include' | 'exclude'; names: string[] } };

type Transformation = {
  id:
    | 'filterFieldsByName'
    | 'groupingToMatrix'
    | 'joinByField'
    | 'labelsToFields'
    | 'merge'
    | 'organize'
    | 'reduce'
    | 'sortBy';
  options: object;
};

type Panel<Kind, Options, Custom> = Omit<
  grafana.Panel,
  'type' | 'options' | 'fieldConfig' | 'targets' | 'datasource' | 'links' | 'transformations'
> & {
  type: Kind;
  datasource: Source;
  fieldConfig: {
    defaults: Field<Custom>;
    overrides: { matcher: Matcher; properties: Property<Custom>[] }[];
  };
  links?: DataLink[];
  options: Partial<Options>;
  targets: Query[];
  transformations?: Transformation[];
};

type AnyPanel =
  | Panel<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Panel<'stat', stat.Options, object>
  | Panel<'state-timeline', stateTimeline.Options, stateTimeline.FieldConfig>
  | Panel<'table', table.Options, table.FieldConfig>
  | Panel<'timeseries', timeSeries.Options, timeSeries.FieldConfig>
  | (Omit<grafana.Panel, 'type' | 'options'> & { type: 'text'; options: text.Options });

type Row = Omit<grafana.RowPanel, 'panels'> & { panels: AnyPanel[] };

type Variable = Omit<grafana.VariableModel, 'datasource' | 'query'> & {
  datasource?: Source;
  // What is shown of the query in lists.
  definition?: string;
  query: string | { qryType?: number; query: string; refId: string };
};

type Annotation = Omit<grafana.AnnotationQuery, 'target' | 'datasource'> & {
  datasource: Source;
  tagKeys?: string;
  target: Pick<Query, 'expr' | 'interval' | 'refId'>;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
};

export type Board = Json<
  Omit<grafana.Dashboard, 'annotations' | 'panels' | 'templating'> & {
    annotations: { list: Annotation[] };
    panels: (AnyPanel | Row)[];
    templating: { list: Variable[] };
  }
>;
