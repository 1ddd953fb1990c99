// What injection means for the pods of a run: the same reading of labels and annotations as on a cluster, and what of
// it a run cannot have. Pure.

import { namespaceMistakes } from '#control-plane/lead/namespace-mistakes.ts';
import { INJECTION_ANNOTATIONS, type InjectionAnnotation, liveAnnotationKeys } from '#core/contract/annotations.ts';
import { LABEL_INJECT } from '#core/contract/names.ts';
import { DEFAULT_OPAQUE_PORTS } from '#core/contract/port-ranges.ts';
import { applyAnnotations, type SidecarOptions } from '#injector/annotations.ts';
import { decide } from '#injector/decide.ts';
import { mtlsWarning } from '#injector/inject.ts';
import { type InjectablePod, podProblem } from '#injector/pod.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { Manifest, ManifestMeta, ManifestPodSpec } from './manifests.ts';

/** A sidecar of a run ends its calls in this time at a stop, unless an annotation says otherwise. */
const DRAIN_SECONDS = 3;

/** What sidecars of a run have where no annotation says otherwise; an empty log level is the run's own. */
const RUN_DEFAULTS: SidecarOptions = {
  image: '',
  logLevel: '',
  drainSeconds: DRAIN_SECONDS,
  opaquePorts: DEFAULT_OPAQUE_PORTS,
  skipInboundPorts: '',
  skipOutboundPorts: '',
  // It has no effect here, which is said once.
  rootAnnotations: true,
  resources: { cpuRequest: '', cpuLimit: '', memoryRequest: '', memoryLimit: '' },
};

const NO_CAPTURE = 'without capture, all calls to Services go through the sidecar, and all others past it';
const PLAIN_PROCESS = "a sidecar is a process of this machine, which runs the CLI's own program";

/** The annotations that a run leaves out, and why. */
const LEFT_OUT: Partial<Readonly<Record<InjectionAnnotation, string>>> = {
  skipOutboundPorts: NO_CAPTURE,
  cpuRequest: PLAIN_PROCESS,
  cpuLimit: PLAIN_PROCESS,
  memoryRequest: PLAIN_PROCESS,
  memoryLimit: PLAIN_PROCESS,
  image: PLAIN_PROCESS,
};

export interface PodInjection {
  readonly options: SidecarOptions;
  /** Values that are not taken, by the object that has them. */
  readonly mistakes: readonly { readonly on: 'namespace' | 'pod'; readonly text: string }[];
  /** What is otherwise than on a cluster, in words that follow the pod's owner. */
  readonly leftOut: readonly string[];
}

/**
 * Reads what a pod and its namespace ask of injection.
 * @param namespace undefined: the directory does not have it, and it is taken to be labelled
 */
export function injectionOf(
  namespaceName: string,
  namespace: Manifest | undefined,
  meta: ManifestMeta,
  spec: ManifestPodSpec,
): PodInjection {
  const around = textsOf(namespace?.metadata?.annotations);
  const own = textsOf(meta.annotations);
  const { options, warnings } = applyAnnotations(RUN_DEFAULTS, around, own);
  // Mistakes in live annotations are the control plane's to report.
  const ofInjection = warnings.filter((text) => !liveAnnotationKeys().some((key) => text.includes(` annotation ${key}: `)));
  const pod = { metadata: { labels: textsOf(meta.labels), annotations: own }, spec } as InjectablePod;
  const mistakes = [...ofInjection, ...mtlsWarning(pod)].map((text) =>
    text.startsWith('namespace ') ? ({ on: 'namespace', text: text.slice('namespace '.length) } as const) : ({ on: 'pod', text } as const),
  );
  const leftOut = Object.entries(LEFT_OUT).flatMap(([name, why]) => {
    const { key } = INJECTION_ANNOTATIONS[name as InjectionAnnotation];
    return own[key] === undefined && around[key] === undefined ? [] : [`${key} has no effect here, because ${why}`];
  });
  return { options, mistakes, leftOut: [...leftOut, ...notInjected(namespaceName, namespace, pod)] };
}

/** What a namespace's labels say that means nothing. One about injection is said of its pods. */
export function labelMistakes(namespace: Manifest): string[] {
  const mistakes = namespaceMistakes(namespace as Namespace).filter(({ reason }) => reason === 'UnusableLabel');
  return mistakes.map(({ message }) => message).filter((message) => !message.startsWith(`label ${LABEL_INJECT} `));
}

/** The annotations of a namespace that injection reads when a pod is made: others make other pods. */
export function injectionAnnotationsOf(namespace: Manifest | undefined): Record<string, string> {
  const keys: readonly string[] = Object.values(INJECTION_ANNOTATIONS).map(({ key }) => key);
  return Object.fromEntries(Object.entries(textsOf(namespace?.metadata?.annotations)).filter(([key]) => keys.includes(key)));
}

/** Every pod of a run has a sidecar: said where a cluster would give it none, or refuse the pod. */
function notInjected(name: string, namespace: Manifest | undefined, pod: InjectablePod): string[] {
  if (podProblem(pod) !== '') return [];
  const labels = namespace === undefined ? { [LABEL_INJECT]: 'enabled' } : textsOf(namespace.metadata?.labels);
  const decision = decide(pod, { name, labels, annotations: {} });
  if ('deny' in decision) return [`a cluster would refuse the pod: ${decision.deny}`];
  if (decision.inject || decision.reason === 'AlreadyInjected') return [];
  return [`every pod has a sidecar here; on a cluster it would have none: ${decision.message}`];
}

/** A null is the empty text, as for the API server; what is no text is reported where files are read. */
function textsOf(map: Record<string, string> | undefined): Record<string, string> {
  const entries = Object.entries(map ?? {}).map(([key, value]): [string, unknown] => [key, value ?? '']);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
