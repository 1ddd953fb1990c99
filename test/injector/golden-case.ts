// A golden case of injection: a YAML file with options, a pod, and behind `--- # expected` the decision, the warnings
// and the patch.
import { parseAllDocuments, stringify } from 'yaml';
import type { SidecarResources } from '#injector/annotations.ts';
import type { InjectionSettings } from '#injector/containers.ts';
import { decide, type NamespaceFacts } from '#injector/decide.ts';
import { type InjectionFacts, inject } from '#injector/inject.ts';
import { countedBy, limitItemsOf } from '#injector/limits.ts';
import { type Operation, patchOf } from '#injector/patch.ts';
import type { InjectablePod } from '#injector/pod.ts';
import { reinject } from '#injector/reinject.ts';

const MARK = '--- # expected\n';

/** What an installation with default values injects, with names that do not change. */
export const SETTINGS: InjectionSettings = {
  image: 'weft:test',
  imagePullPolicy: 'IfNotPresent',
  trustDomain: 'cluster.local',
  controlPlane: 'weft-control-plane.weft-system.svc:15012',
  trustRoots: 'ROOTS',
  version: '1.2.3',
  logLevel: 'info',
  drainSeconds: 30,
  opaquePorts: '25,3306',
  tracingEndpoint: '',
  tracingSampling: 0.01,
  accessLog: 'off',
  skipInboundPorts: '',
  skipOutboundPorts: '',
  resources: { cpuRequest: '', cpuLimit: '', memoryRequest: '', memoryLimit: '' },
};

export interface GoldenCase {
  /** The file up to the mark. */
  readonly given: string;
  readonly expected: string;
  readonly pod: InjectablePod;
  readonly namespace: NamespaceFacts;
  readonly settings: InjectionSettings;
  readonly facts: InjectionFacts;
}

interface Options {
  namespace?: NamespaceFacts;
  settings?: Partial<Omit<InjectionSettings, 'resources'>> & { resources?: Partial<SidecarResources> };
}

export function readCase(text: string): GoldenCase {
  const at = text.indexOf(MARK);
  const given = at < 0 ? text : text.slice(0, at);
  const documents = parseAllDocuments(given).map((document) => document.toJS() as Record<string, unknown>);
  const options = (documents.find((document) => !('kind' in document)) ?? {}) as Options;
  const pod = documents.find(({ kind }) => kind === 'Pod') as InjectablePod;
  const all = (wanted: string) => documents.filter(({ kind }) => kind === wanted);
  const limits = { ranges: all('LimitRange').flatMap(limitItemsOf), counted: all('ResourceQuota').flatMap(countedBy) };
  return {
    given,
    expected: at < 0 ? '' : text.slice(at + MARK.length),
    pod,
    facts: { hookToken: 'TOKEN', limits },
    namespace: options.namespace ?? { name: 'shop', labels: { 'weft.dev/inject': 'enabled' }, annotations: {} },
    settings: { ...SETTINGS, ...options.settings, resources: { ...SETTINGS.resources, ...options.settings?.resources } },
  };
}

export interface Outcome {
  readonly decision: ReturnType<typeof decide>;
  readonly after: InjectablePod;
  readonly patch: readonly Operation[];
  readonly warnings: readonly string[];
}

/** What the webhook does to the case's pod. */
export function runCase({ pod, namespace, settings, facts }: GoldenCase): Outcome {
  const decision = decide(pod, namespace);
  const again = 'reason' in decision && decision.reason === 'AlreadyInjected';
  if (!again && !('inject' in decision && decision.inject)) return { decision, after: pod, patch: [], warnings: [] };
  const { pod: after, warnings } = again ? reinject(pod, settings, facts) : inject(pod, namespace, settings, facts);
  return { decision, after, patch: patchOf(pod, after), warnings };
}

export function renderOutcome({ decision, warnings, patch }: Outcome): string {
  return stringify({ decision, warnings, patch }, { lineWidth: 0, aliasDuplicateObjects: false });
}

export function writeCase({ given }: GoldenCase, expected: string): string {
  return `${given}${MARK}${expected}`;
}
