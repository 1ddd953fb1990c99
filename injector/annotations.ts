// The annotations by which a namespace or a pod changes what is injected: the pod's wins. A wrong value changes nothing and is told about.
import { parseAccessLog } from '#core/contract/access-filter.ts';
import { ANNOTATION_ACCESS_LOG, ANNOTATION_STATUS, ANNOTATION_TRACE_SAMPLING, LABEL_INJECT, LABEL_MTLS } from '#core/contract/names.ts';
import { formatPortRanges, parsePortRanges } from '#core/contract/port-ranges.ts';
import { parseTraceSampling } from '#core/contract/trace-sampling.ts';
import { isLogLevel, LOG_LEVELS } from '#core/program/log.ts';
import { nearest } from '#core/text/nearest.ts';
import { parseQuantity } from './quantity.ts';

const PREFIX = 'weft.dev/';
const LONGEST_DRAIN_SECONDS = 3600;
const LONGEST_SHOWN = 60;

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
}

export type OptionField = Exclude<keyof SidecarOptions, 'resources'> | keyof SidecarResources;

const ANNOTATIONS: Readonly<Record<string, OptionField>> = {
  'weft.dev/skip-inbound-ports': 'skipInboundPorts',
  'weft.dev/skip-outbound-ports': 'skipOutboundPorts',
  'weft.dev/opaque-ports': 'opaquePorts',
  'weft.dev/log-level': 'logLevel',
  'weft.dev/drain-seconds': 'drainSeconds',
  'weft.dev/proxy-cpu-request': 'cpuRequest',
  'weft.dev/proxy-cpu-limit': 'cpuLimit',
  'weft.dev/proxy-memory-request': 'memoryRequest',
  'weft.dev/proxy-memory-limit': 'memoryLimit',
  'weft.dev/image': 'image',
};

const PARSERS: Readonly<Record<OptionField, (text: string) => string | number>> = {
  image,
  logLevel,
  drainSeconds,
  opaquePorts: ports,
  skipInboundPorts: ports,
  skipOutboundPorts: ports,
  cpuRequest: quantity,
  cpuLimit: quantity,
  memoryRequest: quantity,
  memoryLimit: quantity,
};

/** The value of an option from its text. @throws RangeError saying what it must be, with the nearest valid form */
export function parseOption(field: OptionField, text: string): string | number {
  return PARSERS[field](text);
}

/** Sidecars follow these as they change, by way of the control plane: injection only says what is wrong with them. */
const LIVE: Readonly<Record<string, (text: string) => unknown>> = {
  [ANNOTATION_TRACE_SAMPLING]: parseTraceSampling,
  [ANNOTATION_ACCESS_LOG]: parseAccessLog,
};

/** Named in the design, not there yet. */
const NOT_YET = ['weft.dev/concurrency'];

/**
 * The defaults as changed by the annotations of namespace and pod.
 * @returns what holds, and one warning for each value that could not be taken, naming annotation, value and the nearest valid form
 */
export function applyAnnotations(
  defaults: SidecarOptions,
  namespace: Readonly<Record<string, string>>,
  pod: Readonly<Record<string, string>>,
): { options: SidecarOptions; warnings: string[] } {
  const warnings: string[] = [];
  const taken: Partial<Record<OptionField, string | number>> = {};
  for (const [owner, annotations] of [
    ['namespace', namespace],
    ['pod', pod],
  ] as const) {
    for (const [key, value] of Object.entries(annotations)) {
      if (!key.startsWith(PREFIX) || key === ANNOTATION_STATUS) continue;
      const live = Object.hasOwn(LIVE, key);
      if (!live && !Object.hasOwn(ANNOTATIONS, key)) {
        warnings.push(`${owner} annotation ${shown(key)}: ${strange(key)}`);
        continue;
      }
      try {
        if (live) LIVE[key](value);
        else taken[ANNOTATIONS[key]] = parseOption(ANNOTATIONS[key], value);
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

function pick(taken: Partial<Record<OptionField, string | number>>, fields: readonly OptionField[]): Record<string, never> {
  return Object.fromEntries(fields.flatMap((field) => (taken[field] === undefined ? [] : [[field, taken[field] as never]])));
}

function strange(key: string): string {
  if (NOT_YET.includes(key)) return `Weft has no such setting yet, it does nothing`;
  if (key === LABEL_INJECT || key === LABEL_MTLS) return 'it does nothing here, it must be a label';
  const near = nearest(key, [...Object.keys(ANNOTATIONS), ...Object.keys(LIVE)]);
  return `Weft knows no such annotation${near === undefined ? '' : `, did you mean ${near}?`}`;
}

function ports(text: string): string {
  const { ranges, problems } = parsePortRanges(text);
  if (problems.length > 0) throw new RangeError(problems[0]);
  return formatPortRanges(ranges);
}

function logLevel(text: string): string {
  if (isLogLevel(text)) return text;
  const near = nearest(text, LOG_LEVELS);
  throw new RangeError(`it must be one of ${LOG_LEVELS.join(', ')}${near === undefined ? '' : `, did you mean ${near}?`}`);
}

function drainSeconds(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= LONGEST_DRAIN_SECONDS) return Number(text);
  const near = /^\d+s$/.test(text) ? `, did you mean ${text.slice(0, -1)}?` : '';
  throw new RangeError(`it must be whole seconds from 0 to ${LONGEST_DRAIN_SECONDS}${near}`);
}

function quantity(text: string): string {
  // An empty value takes a default away.
  if (text === '' || parseQuantity(text) !== null) return text;
  const near = text.replace(/\s+/g, '').replace(/([kmgt])i?b$/i, (_, unit: string) => `${unit.toUpperCase()}i`);
  const hint = near !== text && parseQuantity(near) !== null ? `, did you mean ${near}?` : '';
  throw new RangeError(`it must be a quantity such as 100m or 64Mi${hint}`);
}

function image(text: string): string {
  if (/^[A-Za-z0-9][\w.\-/:@]{0,511}$/.test(text)) return text;
  throw new RangeError('it must be the name of an image such as registry.example/weft:1.0');
}

function shown(text: string): string {
  return JSON.stringify(text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`);
}
