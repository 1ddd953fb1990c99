// The chart, rendered by us, against what Helm makes of it: test/golden/install/. UPDATE_GOLDEN=1 HELM=<program> asks
// Helm anew.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { parseAllDocuments } from 'yaml';
import { weftChart } from '#chart/chart.ts';
import { CHART_KINDS } from '#chart/chart-kinds.ts';
import { type ChartObject, renderChart, toDocuments } from '#chart/render.ts';
import { SCHEMA_KEYWORDS, type Schema } from '#chart/schema.ts';
import { install, valuesOf } from '#cli/installation/objects.ts';
import { LOG_LEVELS } from '#core/contract/log-levels.ts';
import * as names from '#core/contract/names.ts';
import { VERSION } from '#core/contract/version.ts';
import { EXCLUDED_NAMESPACES } from '#injector/decide.ts';
import { SERVING_SECRET } from '#injector/serving-certificate.ts';
import { CHART_CASES } from './chart-cases.ts';
import { CHART_DIRECTORY, renderedByHelm } from './helm.ts';

const GOLDEN = path.resolve(import.meta.dirname, '../golden/install');
const NAMES = new Set<unknown>(Object.values(names));

function goldenOf(name: string): ChartObject[] {
  const text = readFileSync(path.join(GOLDEN, `${name}.yaml`), 'utf8');
  return parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS() as ChartObject);
}

function byName(manifests: readonly ChartObject[]): Record<string, ChartObject> {
  const entries = manifests.map((one): [string, ChartObject] => [`${one.kind} ${one.metadata.namespace ?? ''}/${one.metadata.name}`, one]);
  expect(new Set(entries.map(([key]) => key)).size, 'no object twice').to.equal(manifests.length);
  return Object.fromEntries(entries);
}

// biome-ignore lint/suspicious/noExplicitAny: objects of many kinds
type Loose = any;

function find(manifests: readonly ChartObject[], kind: string, name: string): Loose {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

describe('the chart', () => {
  const chart = weftChart();

  for (const [name, options] of Object.entries(CHART_CASES)) {
    it(`is rendered as by Helm: ${name}`, () => {
      const ours = renderChart(chart, valuesOf(options, chart), { name: 'weft', by: 'Helm' });
      const { HELM, UPDATE_GOLDEN } = process.env;
      if (UPDATE_GOLDEN === '1' && HELM) writeFileSync(path.join(GOLDEN, `${name}.yaml`), toDocuments(renderedByHelm(HELM, options)));
      expect(byName(ours)).to.deep.equal(byName(goldenOf(name)));
    });
  }

  it('can be installed in each case: the programs would start', () => {
    for (const [name, options] of Object.entries(CHART_CASES)) expect(() => install(options), name).not.to.throw();
  });

  it('has a golden file for each case, and no other', () => {
    expect(readdirSync(GOLDEN).sort()).to.deep.equal(
      Object.keys(CHART_CASES)
        .map((name) => `${name}.yaml`)
        .sort(),
    );
  });

  it('has the version of the programs', () => {
    expect(chart.manifest).to.include({ version: VERSION, appVersion: VERSION });
  });

  it('is applied in an order in which nothing waits for what comes later', () => {
    const kinds = [...CHART_KINDS.keys()];
    const ranks = install({ ha: true, files: [], set: [] }).map(({ kind }) => kinds.indexOf(kind));
    expect(ranks).to.deep.equal([...ranks].sort((a, b) => a - b));
    expect(kinds[0]).to.equal('Namespace');
    expect(kinds.at(-1)).to.equal('MutatingWebhookConfiguration');
  });

  it('uses the names and ports of core/contract/names.ts', () => {
    const all = install({ ha: false, files: [], set: [] });
    const control = find(all, 'Deployment', names.CONTROL_PLANE_NAME);
    const injector = find(all, 'Deployment', names.INJECTOR_NAME);
    const ports = [control, injector].flatMap(({ spec }) => spec.template.spec.containers[0].ports);
    for (const { containerPort } of ports) expect(NAMES.has(containerPort), String(containerPort)).to.equal(true);
    for (const { metadata, kind } of all) {
      if (kind === 'Namespace') expect(metadata.name).to.equal(names.SYSTEM_NAMESPACE);
      else expect(metadata.name).to.be.oneOf([names.CONTROL_PLANE_NAME, names.INJECTOR_NAME, names.READER_NAME]);
      if (CHART_KINDS.get(kind)?.namespaced) expect(metadata.namespace).to.equal(names.SYSTEM_NAMESPACE);
    }
    for (const { spec } of [control, injector]) expect(spec.template.spec.securityContext.runAsUser).to.equal(names.SIDECAR_USER_ID);
    const resourceNames = all.flatMap(({ rules }) =>
      ((rules ?? []) as { resourceNames?: string[] }[]).flatMap((rule) => rule.resourceNames ?? []),
    );
    for (const name of resourceNames) expect(NAMES.has(name) || name === SERVING_SECRET, name).to.equal(true);
  });

  it('gives nobody more than named objects where names can be given, and no wildcard', () => {
    const rules = install({ ha: false, files: [], set: [] }).flatMap((one) => (one.rules ?? []) as Record<string, string[]>[]);
    for (const { apiGroups, resources, verbs, resourceNames } of rules) {
      expect([...apiGroups, ...resources, ...verbs]).not.to.include('*');
      expect(verbs).not.to.include.members(['delete']);
      const sensitive = resources.some((one) => ['secrets', 'configmaps', 'mutatingwebhookconfigurations', 'leases'].includes(one));
      if (sensitive && resourceNames === undefined) expect(verbs).to.deep.equal(['create']);
    }
  });

  it('sends the webhook each pod that may be wanted, once, and none of the namespaces that must start without it', () => {
    const { webhooks: all } = find(install({ ha: false, files: [], set: [] }), 'MutatingWebhookConfiguration', names.INJECTOR_NAME);
    const webhooks = all.filter(({ rules }: Loose) => rules[0].operations.includes('CREATE'));
    const labels = ['enabled', 'disabled', 'true', undefined];
    const namespaces = ['shop', ...EXCLUDED_NAMESPACES];
    for (const namespace of namespaces) {
      for (const ofNamespace of labels) {
        for (const ofPod of labels) {
          const asked = webhooks.filter(
            ({ namespaceSelector, objectSelector }: Loose) =>
              matches(namespaceSelector, { 'kubernetes.io/metadata.name': namespace, [names.LABEL_INJECT]: ofNamespace }) &&
              matches(objectSelector, { [names.LABEL_INJECT]: ofPod }),
          );
          const wanted = ofPod === 'enabled' || (ofNamespace === 'enabled' && ofPod !== 'disabled');
          expect(asked.length, `${namespace} ${ofNamespace} ${ofPod}`).to.equal(wanted && namespace === 'shop' ? 1 : 0);
        }
      }
    }
    expect(all.length - webhooks.length).to.equal(1);
    for (const one of all) {
      expect(one.clientConfig).not.to.have.property('caBundle');
      expect(one).to.include({ sideEffects: 'NoneOnDryRun', timeoutSeconds: 5, failurePolicy: 'Ignore', reinvocationPolicy: 'IfNeeded' });
    }
  });

  it('has two replicas or more, budgets and Fail for high availability', () => {
    const all = install({ ha: true, files: [], set: [] });
    for (const name of [names.CONTROL_PLANE_NAME, names.INJECTOR_NAME]) {
      const { spec } = find(all, 'Deployment', name);
      expect(spec.replicas).to.be.at.least(2);
      expect(spec.strategy.rollingUpdate.maxUnavailable).to.equal(0);
      expect(spec.template.spec.affinity.podAntiAffinity).to.be.an('object');
      expect(find(all, 'PodDisruptionBudget', name).spec.selector.matchLabels).to.deep.equal(spec.selector.matchLabels);
    }
    const { webhooks } = find(all, 'MutatingWebhookConfiguration', names.INJECTOR_NAME);
    for (const { name, failurePolicy } of webhooks) expect(failurePolicy, name).to.equal(name.startsWith('update.') ? 'Ignore' : 'Fail');
  });

  it('says nothing that the API server would not store: kubectl apply would find a difference each time', () => {
    for (const ha of [false, true]) {
      const all = install({ ha, files: [], set: [] });
      expect(all.flatMap((one) => emptyFields(one, `${one.kind} ${one.metadata.name}`))).to.deep.equal([]);
      // kubectl retains the keys of a strategy, so the default type has to be among them.
      for (const { kind, spec } of all as Loose[]) if (kind === 'Deployment') expect(spec.strategy.type).to.equal('RollingUpdate');
    }
  });

  it('has a schema without keywords that our checker would not see, closed, and complete for the defaults', () => {
    const schema = JSON.parse(readFileSync(path.join(CHART_DIRECTORY, 'values.schema.json'), 'utf8')) as Schema;
    walk(schema, (part) => {
      expect(SCHEMA_KEYWORDS).to.include.members(Object.keys(part));
      if (part.type === 'object') expect(part.additionalProperties, JSON.stringify(part)).not.to.equal(undefined);
    });
    expect(LOG_LEVELS).to.include.members(schema.properties?.sidecar.properties?.logLevel.enum as string[]);
  });
});

/** Paths of fields whose value is empty. */
function emptyFields(value: unknown, at: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => {
    const isEmpty = part === null || (typeof part === 'object' && Object.keys(part).length === 0);
    // In a list "" is an element: the core group.
    return isEmpty || (part === '' && !Array.isArray(value)) ? [`${at}.${key}`] : emptyFields(part, `${at}.${key}`);
  });
}

function walk(schema: Schema, visit: (part: Schema) => void): void {
  visit(schema);
  const { properties = {}, items, additionalProperties } = schema;
  for (const part of [...Object.values(properties), items, additionalProperties]) if (typeof part === 'object') walk(part, visit);
}

/** A label selector's matchExpressions, as the API server evaluates them. */
function matches({ matchExpressions }: { matchExpressions: Loose[] }, labels: Record<string, string | undefined>): boolean {
  return matchExpressions.every(({ key, operator, values }) => {
    const has = values.includes(labels[key]);
    if (operator === 'In') return has;
    expect(operator).to.equal('NotIn');
    return !has;
  });
}
