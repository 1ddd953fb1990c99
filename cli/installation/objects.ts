// From the options of `weft install` to the values, checked, and to the objects of an installation.

import { type Chart, weftChart } from '#chart/chart.ts';
import { type ChartObject, renderChart } from '#chart/render.ts';
import { problemsOf, type Schema } from '#chart/schema.ts';
import { mergeValues, parseSet, parseValues, type Values, ValuesError } from '#chart/values.ts';
import { INJECTOR_NAME } from '#core/contract/names.ts';
import { readInjectorSettings } from '#injector/settings.ts';
import { type DeploymentLike, environmentOf } from './environment.ts';

export interface InstallOptions {
  readonly ha: boolean;
  /** Values files in their order: name for messages, content. */
  readonly files: readonly { readonly name: string; readonly text: string }[];
  readonly set: readonly string[];
}

/** Helm makes the namespace by --create-namespace; without Helm the manifests have to. */
const OWN_DEFAULTS: Values = { namespace: { create: true } };

/**
 * The objects of an installation, in order.
 * @throws ValuesError that names every wrong value
 */
export function install(options: InstallOptions, chart: Chart = weftChart()): ChartObject[] {
  const manifests = renderChart(chart, valuesOf(options, chart));
  const injector = manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === INJECTOR_NAME);
  // What the schema cannot say, such as a range that ends before it begins: it would keep the injector from starting.
  const read = readInjectorSettings(environmentOf((injector ?? {}) as DeploymentLike));
  if (injector !== undefined && 'problems' in read)
    throw new ValuesError(`the injector would refuse to start:\n  ${read.problems.join('\n  ')}`);
  return manifests;
}

/** The chart's values, values-ha.yaml if asked for, the files, the sets. @throws ValuesError */
export function valuesOf({ ha, files, set }: InstallOptions, chart: Chart): Values {
  const schema = JSON.parse(chart.files.get('values.schema.json') ?? '{}') as Schema;
  const layers = [
    OWN_DEFAULTS,
    ...(ha ? [ofChart(chart, 'values-ha.yaml')] : []),
    ...files.map(({ name, text }) => parseValues(text, name)),
    ...set.map((words) => parseSet(words, schema)),
  ];
  const values = layers.reduce(mergeValues, ofChart(chart, 'values.yaml'));
  const problems = problemsOf(values, schema);
  if (problems.length === 1) throw new ValuesError(problems[0]);
  if (problems.length > 1) throw new ValuesError(`${problems.length} values are wrong:\n  ${problems.join('\n  ')}`);
  return values;
}

function ofChart(chart: Chart, file: string): Values {
  return parseValues(chart.files.get(file) ?? '', file);
}
