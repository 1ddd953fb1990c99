// Values with which the chart is rendered by us and by Helm.

import { yamlOf } from '#chart/template/functions.ts';
import type { InstallOptions } from '#cli/installation/objects.ts';

/** Strings that YAML 1.1 or Go would take for something else. */
const TRAPS = {
  'example.dev/yes': 'yes',
  'example.dev/octal': '012',
  'example.dev/exponent': '1e3',
  'example.dev/null': '~',
  'example.dev/date': '2026-01-01',
  'example.dev/sexagesimal': '12:30:45',
  'example.dev/quotes': `"it's" \\ {{ .Values }} # no comment`,
  'example.dev/lines': 'first\n  second\n\nlast \t',
  'example.dev/empty': '',
  'example.dev/unicode': 'Spaß 😀 \u2028 \u00a0',
  on: 'off',
};

const EVERYTHING = {
  trustDomain: 'mesh.example',
  meshName: 'other',
  namespace: { create: false },
  image: {
    repository: 'registry.example:5000/weft',
    tag: `sha256:${'0123456789abcdef'.repeat(4)}`,
    pullPolicy: 'Always',
    pullSecrets: ['registry', 'no'],
  },
  controlPlane: {
    replicas: 5,
    resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { memory: 2_147_483_648, 'example.dev/device': '1' } },
    logLevel: 'debug',
    logFormat: 'text',
    leafSeconds: 604_800,
    nodeSelector: { 'kubernetes.io/arch': 'amd64', 'example.dev/y': 'y' },
    tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'true', effect: 'NoSchedule', tolerationSeconds: 0 }],
    antiAffinity: 'required',
    podAnnotations: TRAPS,
    priorityClassName: 'high',
  },
  injector: {
    replicas: 2,
    // Defaults of ours: given anew, and taken away.
    podAnnotations: { 'prometheus.io/scrape': 'false', 'prometheus.io/path': '', 'kubectl.kubernetes.io/default-container': 'other' },
    failurePolicy: 'Fail',
    resources: { requests: {}, limits: {} },
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', labelSelector: {} }] } },
    antiAffinity: 'required',
  },
  sidecar: {
    resources: { requests: { cpu: 1, memory: '' }, limits: { cpu: '1.5', memory: '256Mi' } },
    logLevel: 'error',
    drainSeconds: 0,
    opaquePorts: [25, '4000-4010'],
  },
  tracing: { endpoint: 'http://jaeger.weft-observability:4318', sampling: 0.05 },
  accessLog: 'code!=OK,duration>=250ms',
  pdb: { enabled: true },
};

const NOTHING = {
  tracing: { sampling: 0.000_012 },
  image: { pullSecrets: [] },
  namespace: { create: false },
  controlPlane: { nodeSelector: { 'kubernetes.io/os': null }, resources: { limits: null } },
  injector: { resources: { limits: { memory: null } } },
  sidecar: { opaquePorts: [], resources: { requests: { cpu: '', memory: '' } } },
};

const file = (values: unknown) => ({ name: 'values.yaml', text: yamlOf(values) });

/** Name of the golden file → what is wished. */
export const CHART_CASES: Readonly<Record<string, InstallOptions>> = {
  defaults: { ha: false, files: [], set: [] },
  'high-availability': { ha: true, files: [], set: ['image.tag=1.10', 'sidecar.opaquePorts={25,587}'] },
  everything: { ha: false, files: [file(EVERYTHING)], set: ['controlPlane.podAnnotations.example\\.dev/set=a\\,b=c'] },
  // What "helm upgrade --reuse-values" has from a version that did not know them.
  'values-of-before': { ha: false, files: [], set: ['tracing=null', 'accessLog=null'] },
  nothing: { ha: false, files: [file(NOTHING)], set: ['namespace.create=true'] },
};
