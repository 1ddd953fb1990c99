// How the annotations of a namespace and of a pod change what is injected: the pod's go before. A wrong value changes
// nothing and gives a warning.
import {
  ANNOTATION_PREFIX,
  type Annotation,
  INJECTION_ANNOTATIONS,
  type InjectionAnnotation,
  LIVE_ANNOTATIONS,
  RESERVED_ANNOTATIONS,
} from '#core/contract/annotations.ts';
import { isLabelValue } from '#core/contract/labels.ts';
import { ANNOTATION_SETTINGS, ANNOTATION_STATUS, LABEL_INJECT, LABEL_MTLS } from '#core/contract/names.ts';
import { parseQuantity } from '#core/contract/quantity.ts';
import { nearest } from '#core/text/nearest.ts';

/** What injection itself writes. */
const INJECTED = [ANNOTATION_STATUS, ANNOTATION_SETTINGS];
const LONGEST_SHOWN = 60;
const NOT_ALLOWED =
  'it would change what runs as root beside the application, which this installation does not let pods do (value sidecar.rootAnnotations)';

/** Kubernetes quantities; '' where nothing is asked for. */
export interface SidecarResources {
  readonly cpuRequest: string;
  readonly cpuLimit: string;
  readonly memoryRequest: string;
  readonly memoryLimit: string;
}

/** What annotations can change. */
export interface SidecarOptions {
  readonly image: string;
  readonly logLevel: string;
  readonly drainSeconds: number;
  /** Lists of ports and ranges: `25,8000-8100`. */
  readonly opaquePorts: string;
  readonly skipInboundPorts: string;
  readonly skipOutboundPorts: string;
  readonly resources: SidecarResources;
  /** Whether annotations that change what runs as root are taken; absent: they are not. */
  readonly rootAnnotations?: boolean;
}

/**
 * Of live annotations injection only says what is wrong with them: sidecars get them from the control plane (option
 * null).
 */
interface Known {
  readonly annotation: Annotation<string | number>;
  readonly option: InjectionAnnotation | null;
}

const KNOWN: ReadonlyMap<string, Known> = new Map([
  ...Object.entries(INJECTION_ANNOTATIONS).map(([option, annotation]): [string, Known] => [
    annotation.key,
    { annotation, option: option as InjectionAnnotation },
  ]),
  ...Object.values(LIVE_ANNOTATIONS).map((annotation): [string, Known] => [annotation.key, { annotation, option: null }]),
]);

/**
 * The defaults as changed by the annotations of namespace and pod.
 * @returns what holds, and one warning for each value that could not be taken, naming annotation, value and the nearest
 *   valid form
 */
export function applyAnnotations(
  defaults: SidecarOptions,
  namespace: Readonly<Record<string, string>>,
  pod: Readonly<Record<string, string>>,
): { options: SidecarOptions; warnings: string[] } {
  const warnings: string[] = [];
  const taken: Partial<Record<InjectionAnnotation, string | number>> = {};
  for (const [owner, annotations] of [
    ['namespace', namespace],
    ['pod', pod],
  ] as const) {
    for (const [key, value] of Object.entries(annotations)) {
      if (!key.startsWith(ANNOTATION_PREFIX) || INJECTED.includes(key)) continue;
      if (key === LABEL_MTLS && owner === 'pod') {
        // The control plane takes it where the pod has no such label (translate/workload.ts).
        if (!isLabelValue(LABEL_MTLS, value)) warnings.push(`pod annotation ${key}: ${shown(value)} must be permissive or strict`);
        continue;
      }
      const known = KNOWN.get(key);
      if (known === undefined) {
        warnings.push(`${owner} annotation ${shown(key)}: ${strange(key)}`);
        continue;
      }
      try {
        const read = known.annotation.read(value);
        if (known.annotation.root === true && defaults.rootAnnotations !== true) throw new RangeError(NOT_ALLOWED);
        if (known.option !== null) taken[known.option] = read;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        warnings.push(`${owner} annotation ${key}: ${shown(value)} is ignored: ${error.message}`);
      }
    }
  }
  const resources = {
    ...defaults.resources,
    ...pick(taken, ['cpuRequest', 'cpuLimit', 'memoryRequest', 'memoryLimit']),
  };
  for (const what of ['cpu', 'memory'] as const) {
    const [request, limit] = [`${what}Request`, `${what}Limit`] as const;
    if (!exceeds(resources[request], resources[limit])) continue;
    // The API server would refuse the whole pod.
    warnings.push(
      `annotations weft.dev/proxy-${what}-request and -limit are ignored: the request ${resources[request]} would exceed the limit ${resources[limit]}; give both`,
    );
    resources[request] = defaults.resources[request];
    resources[limit] = defaults.resources[limit];
  }
  const others = pick(taken, ['image', 'logLevel', 'drainSeconds', 'opaquePorts', 'skipInboundPorts', 'skipOutboundPorts']);
  return { options: { ...defaults, ...others, resources }, warnings };
}

/** Whether a request is above its limit; '' is none. */
export function exceeds(request: string, limit: string): boolean {
  return request !== '' && limit !== '' && parseQuantity(request)! > parseQuantity(limit)!;
}

function pick(
  taken: Partial<Record<InjectionAnnotation, string | number>>,
  options: readonly InjectionAnnotation[],
): Record<string, never> {
  return Object.fromEntries(options.flatMap((option) => (taken[option] === undefined ? [] : [[option, taken[option] as never]])));
}

function strange(key: string): string {
  if (RESERVED_ANNOTATIONS.includes(key)) return `Weft has no such setting yet, it does nothing`;
  if (key === LABEL_INJECT || key === LABEL_MTLS) return 'it does nothing here, it must be a label';
  const near = nearest(key, KNOWN.keys());
  return `Weft knows no such annotation${near === undefined ? '' : `, did you mean ${near}?`}`;
}

function shown(text: string): string {
  return JSON.stringify(text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`);
}
