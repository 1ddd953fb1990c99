// The annotations of Weft: each with its name, the objects on which it means something, and the reader of its text.
// Labels are in labels.ts. docs/reference/annotations.md tells people the same; test/core/contract/annotations.test.ts
// holds it against this table.

import { parseAccessLog } from './access-filter.ts';
import { readDrainSeconds, readImage, readLogLevel, readPorts, readQuantity } from './annotation-values.ts';
import { ANNOTATION_ACCESS_LOG, ANNOTATION_TRACE_SAMPLING } from './names.ts';
import { parseTraceSampling } from './trace-sampling.ts';

/** All of Weft's labels and annotations begin with it. */
export const ANNOTATION_PREFIX = 'weft.dev/';

export interface Annotation<T> {
  readonly key: string;
  /** Kinds of objects on which it means something. A pod's goes before its Namespace's. */
  readonly on: readonly string[];
  /** It changes what runs as root: only an installation that says so takes it. */
  readonly root?: true;
  /** The value of its text. @throws RangeError saying what it must be, with the nearest valid form */
  readonly read: (text: string) => T;
}

const PODS = ['Namespace', 'Pod'] as const;

/**
 * Sidecars follow these as they change: the control plane reads them from the stored objects and sends what holds. All
 * of Weft keeps, compares and judges them by this table; what one does is written in control-plane/translate
 * (workload.ts, and routes/rules.ts for routes).
 */
export const LIVE_ANNOTATIONS = {
  /** Share of the traces that begin at a sidecar, 0 to 1. On a route it holds for the calls that its rules match. */
  traceSampling: { key: ANNOTATION_TRACE_SAMPLING, on: [...PODS, 'GRPCRoute', 'HTTPRoute'], read: parseTraceSampling },
  /** Which calls are logged: a text that parseAccessLog() takes. */
  accessLog: { key: ANNOTATION_ACCESS_LOG, on: PODS, read: accessLogText },
} as const satisfies Readonly<Record<string, Annotation<string | number>>>;

export type LiveAnnotation = keyof typeof LIVE_ANNOTATIONS;

/** What the live annotations of an object say; undefined: nothing. */
export type LiveValues = { readonly [Name in LiveAnnotation]: ReturnType<(typeof LIVE_ANNOTATIONS)[Name]['read']> | undefined };

/** The names of the live annotations, all or those that mean something on a kind. */
export function liveAnnotationKeys(kind?: string): readonly string[] {
  const all: readonly Annotation<unknown>[] = Object.values(LIVE_ANNOTATIONS);
  return all.filter(({ on }) => kind === undefined || on.includes(kind)).map(({ key }) => key);
}

/** Injection reads these once, when a pod is made: they change its sidecar's container and environment. */
export const INJECTION_ANNOTATIONS = {
  /** Ports of the application to which connections go straight, past the sidecar: `9999,20000-20100`. */
  skipInboundPorts: { key: 'weft.dev/skip-inbound-ports', on: PODS, read: readPorts },
  /** Ports to which the application's connections go straight, past the sidecar. */
  skipOutboundPorts: { key: 'weft.dev/skip-outbound-ports', on: PODS, read: readPorts },
  /** Ports whose connections are passed as TCP, without a look at their octets. */
  opaquePorts: { key: 'weft.dev/opaque-ports', on: PODS, read: readPorts },
  /** The sidecar's own log. */
  logLevel: { key: 'weft.dev/log-level', on: PODS, read: readLogLevel },
  /** How many seconds calls may go on after the pod's SIGTERM. */
  drainSeconds: { key: 'weft.dev/drain-seconds', on: PODS, read: readDrainSeconds },
  /** Resources of the sidecar's container; '' takes the installation's away. */
  cpuRequest: { key: 'weft.dev/proxy-cpu-request', on: PODS, read: readQuantity },
  cpuLimit: { key: 'weft.dev/proxy-cpu-limit', on: PODS, read: readQuantity },
  memoryRequest: { key: 'weft.dev/proxy-memory-request', on: PODS, read: readQuantity },
  memoryLimit: { key: 'weft.dev/proxy-memory-limit', on: PODS, read: readQuantity },
  /** Another image of the sidecar. */
  image: { key: 'weft.dev/image', on: PODS, root: true, read: readImage },
} as const satisfies Readonly<Record<string, Annotation<string | number>>>;

export type InjectionAnnotation = keyof typeof INJECTION_ANNOTATIONS;

/** Names that are kept for later. */
export const RESERVED_ANNOTATIONS: readonly string[] = ['weft.dev/concurrency'];

function accessLogText(text: string): string {
  parseAccessLog(text);
  return text;
}
