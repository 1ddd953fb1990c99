// The narrow view of a Pod that injection has: what it reads and adds. All other fields go through untouched, whatever
// they are.

export interface InjectablePod {
  apiVersion?: string;
  kind?: string;
  metadata?: PodMetadata;
  spec?: PodSpec;
}

export interface PodMetadata {
  name?: string;
  generateName?: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  apiVersion?: string;
  kind?: string;
  name?: string;
  uid?: string;
  controller?: boolean;
}

export interface PodSpec {
  hostNetwork?: boolean;
  dnsPolicy?: string;
  os?: { name?: string };
  nodeSelector?: Record<string, string>;
  affinity?: unknown;
  securityContext?: { runAsUser?: number };
  initContainers?: Container[];
  containers?: Container[];
  volumes?: { name?: string }[];
}

export interface Container {
  name?: string;
  image?: string;
  /** Always, in an init container: a native sidecar. */
  restartPolicy?: string;
  ports?: { name?: string; containerPort?: number; [more: string]: unknown }[];
  securityContext?: { runAsUser?: number; [more: string]: unknown };
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  lifecycle?: { postStart?: Hook; preStop?: Hook; [more: string]: unknown };
  env?: { name?: string; value?: string; [more: string]: unknown }[];
  resources?: { requests?: Record<string, unknown>; limits?: Record<string, unknown>; [more: string]: unknown };
}

/** One handler, what a container is to be asked after its start or before its end. */
export interface Hook {
  httpGet?: HttpGet;
  tcpSocket?: { port?: number | string; host?: string };
  exec?: unknown;
  sleep?: unknown;
  [more: string]: unknown;
}

/** One handler, and periods and thresholds that are kept as they are. */
export interface Probe {
  httpGet?: HttpGet;
  tcpSocket?: { port?: number | string; host?: string };
  grpc?: { port?: number; service?: string | null };
  exec?: unknown;
  /** Default 1. */
  timeoutSeconds?: number;
  [more: string]: unknown;
}

export interface HttpGet {
  port?: number | string;
  path?: string;
  /** Default the pod's address. */
  host?: string;
  scheme?: string;
  httpHeaders?: { name?: string; value?: string }[];
}

type Json = Record<string, unknown>;

/**
 * What of a value keeps it from being read as a Pod: `spec.containers[0].name must be a string`; '' when nothing does.
 * Only fields of the types above are looked at; an API server sends nothing else, but a webhook's port is open to every
 * client, and a file holds anything.
 */
export function podProblem(value: unknown): string {
  if (!isObject(value)) return 'the pod must be an object';
  const { metadata, spec } = value;
  return (
    optional(metadata, 'metadata', isObject, 'an object') ||
    (isObject(metadata) ? metadataProblem(metadata) : '') ||
    (isObject(spec) ? specProblem(spec) : 'spec must be an object')
  );
}

function metadataProblem(metadata: Json): string {
  for (const field of ['name', 'generateName', 'namespace']) {
    const problem = optional(metadata[field], `metadata.${field}`, isString, 'a string');
    if (problem !== '') return problem;
  }
  for (const field of ['labels', 'annotations']) {
    const map = metadata[field];
    const problem = optional(map, `metadata.${field}`, isObject, 'an object');
    if (problem !== '') return problem;
    for (const [key, text] of Object.entries(map ?? {}))
      if (!isString(text)) return `metadata.${field}[${JSON.stringify(key)}] must be a string`;
  }
  return listProblem(metadata.ownerReferences, 'metadata.ownerReferences', () => '');
}

function specProblem(spec: Json): string {
  if (!Array.isArray(spec.containers)) return 'spec.containers must be a list';
  return (
    optional(spec.securityContext, 'spec.securityContext', isObject, 'an object') ||
    optional(spec.os, 'spec.os', isObject, 'an object') ||
    optional(spec.nodeSelector, 'spec.nodeSelector', isObject, 'an object') ||
    optional(spec.dnsPolicy, 'spec.dnsPolicy', isString, 'a string') ||
    listProblem(spec.volumes, 'spec.volumes', () => '') ||
    listProblem(spec.initContainers, 'spec.initContainers', containerProblem) ||
    listProblem(spec.containers, 'spec.containers', containerProblem)
  );
}

function containerProblem(container: Json, path: string): string {
  if (!isString(container.name)) return `${path}.name must be a string`;
  for (const field of ['securityContext', 'startupProbe', 'readinessProbe', 'livenessProbe', 'lifecycle', 'resources']) {
    const inner = container[field];
    const problem = optional(inner, `${path}.${field}`, isObject, 'an object');
    if (problem !== '') return problem;
    if (!isObject(inner)) continue;
    const wrong = innerProblem(field, inner, `${path}.${field}`);
    if (wrong !== '') return wrong;
  }
  return listProblem(container.ports, `${path}.ports`, () => '') || listProblem(container.env, `${path}.env`, () => '');
}

function innerProblem(field: string, inner: Json, path: string): string {
  if (field.endsWith('Probe')) return handlersProblem(inner, path);
  const parts = field === 'lifecycle' ? ['postStart', 'preStop'] : field === 'resources' ? ['requests', 'limits'] : [];
  for (const part of parts) {
    const value = inner[part];
    const problem = optional(value, `${path}.${part}`, isObject, 'an object');
    if (problem !== '') return problem;
    const wrong = field === 'lifecycle' && isObject(value) ? handlersProblem(value, `${path}.${part}`) : '';
    if (wrong !== '') return wrong;
  }
  return '';
}

/** Of a probe or a hook. */
function handlersProblem(inner: Json, path: string): string {
  for (const handler of ['httpGet', 'tcpSocket', 'grpc']) {
    const wrong = optional(inner[handler], `${path}.${handler}`, isObject, 'an object');
    if (wrong !== '') return wrong;
  }
  return listProblem(isObject(inner.httpGet) ? inner.httpGet.httpHeaders : undefined, `${path}.httpGet.httpHeaders`, () => '');
}

function listProblem(list: unknown, path: string, each: (element: Json, path: string) => string): string {
  if (list === undefined || list === null) return '';
  if (!Array.isArray(list)) return `${path} must be a list`;
  for (const [i, element] of list.entries()) {
    const problem = isObject(element) ? each(element, `${path}[${i}]`) : `${path}[${i}] must be an object`;
    if (problem !== '') return problem;
  }
  return '';
}

function optional(value: unknown, path: string, is: (value: unknown) => boolean, what: string): string {
  return value === undefined || value === null || is(value) ? '' : `${path} must be ${what}`;
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
