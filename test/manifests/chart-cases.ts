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

/** Of a key that was thrown away. */
const CLIENT_AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBejCCASGgAwIBAgIULpsl+zlgb6F0m18rTC1nst+bZJIwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHY2xpZW50czAgFw0yNjExMzAyMzQ5NDdaGA8yMTI2MTEwNjIz
NDk0N1owEjEQMA4GA1UEAwwHY2xpZW50czBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABJ0Om2uANhgqNMwhoyhtxvbGyc+QvBOfsIx1J0k19SyHVOA0DPjMv4PrPPJs
qsp9F5FQ3vPnpbBJsPXKK7Gw5y+jUzBRMB0GA1UdDgQWBBSEHiUFunRv4nCey0xr
5gJZ+6283DAfBgNVHSMEGDAWgBSEHiUFunRv4nCey0xr5gJZ+6283DAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIAD+hWuuZgsdTd+pLynTNw44hMBa
4VEYcle9XLdzcBgwAiAtMmbWD8YITQ8Do5PTMjhnRfh2bhR0GARAS/FCDrnLvQ==
-----END CERTIFICATE-----`;

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
    clusterTrustBundle: 'example.org:roots',
    nodeSelector: { 'kubernetes.io/arch': 'amd64', 'example.dev/y': 'y' },
    tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'true', effect: 'NoExecute', tolerationSeconds: 0 }],
    antiAffinity: 'required',
    podAnnotations: TRAPS,
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
      { maxSkew: 2, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { a: 'b' } } },
    ],
    podLabels: { team: 'mesh', 'app.kubernetes.io/name': 'not taken', 'example.dev/no': 'no' },
    extraEnvironment: [
      { name: 'HTTPS_PROXY', value: 'http://proxy:3128' },
      { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'WEFT_LOG_LEVEL', value: 'not taken' },
    ],
    priorityClassName: 'high',
  },
  injector: {
    replicas: 2,
    // Defaults of ours: given anew, and taken away.
    podAnnotations: { 'prometheus.io/scrape': 'false', 'prometheus.io/path': '', 'kubectl.kubernetes.io/default-container': 'other' },
    failurePolicy: 'Fail',
    clientAuthentication: { authorities: `${CLIENT_AUTHORITY}\n`, names: ['front-proxy-client', 'kube-apiserver'] },
    resources: { requests: {}, limits: {} },
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', labelSelector: {} }] } },
    antiAffinity: 'required',
  },
  nodeAgent: {
    enabled: true,
    resources: { requests: { cpu: '10m' }, limits: null },
    logLevel: 'debug',
    nodeSelector: { 'example.dev/y': 'y' },
    tolerations: [],
    podAnnotations: { 'example.dev/octal': '012' },
    podLabels: { team: 'mesh' },
    extraEnvironment: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }],
    priorityClassName: '',
  },
  sidecar: {
    resources: { requests: { cpu: 1, memory: '' }, limits: { cpu: '1.5', memory: '256Mi' } },
    logLevel: 'error',
    drainSeconds: 0,
    opaquePorts: [25, '4000-4010'],
    rootAnnotations: true,
  },
  tracing: { endpoint: 'http://jaeger.weft-observability:4318', sampling: 0.05 },
  accessLog: 'code!=OK,duration>=250ms',
  networkPolicies: { enabled: true, apiServer: [{ ipBlock: { cidr: '10.0.0.0/24' } }], metrics: [{ podSelector: {} }] },
  podMonitor: { enabled: true, labels: { release: 'prometheus' }, interval: '15s' },
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
  'values-of-before': { ha: false, files: [], set: ['tracing=null', 'accessLog=null', 'nodeAgent=null'] },
  // Its pods are not what the namespace enforced before.
  'node-agent': { ha: false, files: [], set: ['nodeAgent.enabled=true', 'networkPolicies.enabled=true'] },
  nothing: { ha: false, files: [file(NOTHING)], set: ['namespace.create=true'] },
};
