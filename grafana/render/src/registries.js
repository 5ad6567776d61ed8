// Fills the registries of @grafana/data as Grafana's application does when it starts.
import {
  booleanOverrideProcessor,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  FieldConfigOptionsRegistry,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';

const STANDARD = {
  unit: unitOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  decimals: numberOverrideProcessor,
  fieldMinMax: booleanOverrideProcessor,
  displayName: displayNameOverrideProcessor,
  noValue: stringOverrideProcessor,
  color: identityOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  links: dataLinksOverrideProcessor,
  filterable: booleanOverrideProcessor,
  description: stringOverrideProcessor,
};

const item = (id, path, isCustom, process) => ({
  id,
  path,
  name: id,
  isCustom,
  process,
  shouldApply: () => true,
  override: () => null,
  editor: () => null,
});

/** The options that a field of this panel may have: the standard ones, and the panel type's own. */
export function optionsOf(fieldConfig, defaults) {
  const own = new Set(Object.keys({ ...defaults, ...fieldConfig.defaults.custom }));
  for (const { properties } of fieldConfig.overrides) {
    for (const { id } of properties) {
      if (id.startsWith('custom.')) {
        own.add(id.slice('custom.'.length));
      } else if (!STANDARD[id]) {
        throw new Error(`an override sets "${id}", which is no option of a field`);
      }
    }
  }
  const registry = new FieldConfigOptionsRegistry();
  registry.setInit(() => [
    ...Object.entries(STANDARD).map(([id, process]) => item(id, id, false, process)),
    ...[...own].map((path) => item(`custom.${path}`, path, true, identityOverrideProcessor)),
  ]);
  return registry;
}

export function registerTransformers() {
  const seen = new Map(Object.values(standardTransformers).map((known) => [known.id, known]));
  standardTransformersRegistry.setInit(() =>
    [...seen.values()].map((known) => ({
      id: known.id,
      name: known.name,
      transformation: () => known,
      editor: () => null,
    }))
  );
}
