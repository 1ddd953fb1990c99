// From the chart and values to the objects, in the order in which they are to be applied, and to YAML. Pure.
import { parseAllDocuments } from 'yaml';
import { SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { KUBECTL_YAML } from '#objects/yaml/schema.ts';
import type { Chart } from './chart.ts';
import { CHART_KINDS } from './chart-kinds.ts';
import { render } from './template/evaluate.ts';
import { type Value, yamlOf } from './template/functions.ts';
import { parseTemplate } from './template/parse.ts';
import { type ChartTemplate, type Node, TemplateError } from './template/syntax.ts';
import type { Values } from './values.ts';

/** A rendered object. */
export interface ChartObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string } & Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** What Helm calls the release; `by` is the label app.kubernetes.io/managed-by. */
export interface Release {
  readonly name: string;
  readonly by: string;
}

export const RELEASE: Release = { name: 'weft', by: 'weft' };

/**
 * The chart's objects, the namespace first and the webhook last.
 * @param values complete and checked
 * @throws TemplateError
 */
export function renderChart(chart: Chart, values: Values, release: Release = RELEASE): ChartObject[] {
  const { templates, defined } = parseChart(chart);
  const data = {
    Values: values,
    Release: { Name: release.name, Namespace: SYSTEM_NAMESPACE, Service: release.by },
    Chart: { Name: chart.manifest.name, Version: chart.manifest.version, AppVersion: chart.manifest.appVersion },
  } as Value;
  const manifests = templates.flatMap(([file, { body }]) => objectsOf(file, render(body, defined, data)));
  const kinds = [...CHART_KINDS.keys()];
  return manifests
    .map((manifest, i) => ({ manifest, i, rank: kinds.indexOf(manifest.kind) }))
    .sort((a, b) => a.rank - b.rank || a.i - b.i)
    .map(({ manifest }) => manifest);
}

/** Documents for `kubectl apply -f -`; YAML 1.1, because that is what kubectl reads. */
export function toDocuments(manifests: readonly unknown[]): string {
  return manifests.map((manifest) => `---\n${yamlOf(manifest)}\n`).join('');
}

function parseChart(chart: Chart): { templates: [string, ChartTemplate][]; defined: Map<string, readonly Node[]> } {
  const templates: [string, ChartTemplate][] = [];
  const defined = new Map<string, readonly Node[]>();
  for (const [file, source] of chart.files) {
    if (!/^templates\/.*\.(yaml|tpl)$/.test(file)) continue;
    const template = parseTemplate(file, source);
    for (const [name, body] of template.defined) {
      if (defined.has(name)) throw new TemplateError({ file, line: 1 }, `${name} is defined in another file too`);
      defined.set(name, body);
    }
    if (file.endsWith('.yaml')) templates.push([file, template]);
  }
  return { templates, defined };
}

function objectsOf(file: string, text: string): ChartObject[] {
  const manifests: ChartObject[] = [];
  for (const document of parseAllDocuments(text, KUBECTL_YAML)) {
    const at = { file, line: 1 };
    const [error] = document.errors;
    if (error !== undefined) throw new TemplateError(at, `what it renders is not YAML: ${error.message}`);
    const manifest = document.toJS() as ChartObject | null;
    if (manifest === null) continue;
    if (!CHART_KINDS.has(manifest.kind)) throw new TemplateError(at, `it renders a ${manifest.kind}, which has no place in the order`);
    manifests.push(manifest);
  }
  return manifests;
}
