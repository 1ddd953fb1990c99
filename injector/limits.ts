// What the sidecar's container asks for in a namespace with LimitRanges and ResourceQuotas, so that a pod that these
// admitted without a sidecar is admitted with one. Pure; the rules are those of kubernetes.io, "Limit Ranges" and
// "Resource Quotas", and of plugin/pkg/admission/limitranger in Kubernetes.
import { parseQuantity } from '#core/contract/quantity.ts';
import type { SidecarResources } from './annotations.ts';
import { type Container, type InjectablePod, isObject } from './pod.ts';

/** One entry of a LimitRange's `spec.limits`; quantities by resource. */
export interface LimitItem {
  readonly type: string;
  readonly min: Readonly<Record<string, number>>;
  readonly max: Readonly<Record<string, number>>;
  readonly default: Readonly<Record<string, number>>;
  readonly defaultRequest: Readonly<Record<string, number>>;
  readonly maxLimitRequestRatio: Readonly<Record<string, number>>;
}

/** What limits the pods of a namespace. */
export interface NamespaceLimits {
  readonly ranges: readonly LimitItem[];
  /** Resources that ResourceQuotas count: `limits.cpu`, `memory`. Each container must then say how much. */
  readonly counted: readonly string[];
}

export const NO_LIMITS: NamespaceLimits = { ranges: [], counted: [] };

export interface FittedResources {
  readonly resources: SidecarResources;
  /** Why the API server will refuse the pod, or the sidecar may not live, one text each; empty: it fits. */
  readonly problems: readonly string[];
}

/**
 * A limit that the sidecar must have although the installation gives it none: at least so much (cores, octets). A busy
 * sidecar needs it; a namespace's default is often meant for less.
 */
const LEAST_LIMIT = { cpu: 0.2, memory: 128 * 2 ** 20 } as const;
/**
 * What it asks for where something must be asked for and the installation asks for nothing. With less of a core it is
 * too slow to become ready, with less memory it is killed as soon as it has some connections.
 */
export const LEAST_REQUEST = { cpu: 0.01, memory: 64 * 2 ** 20 } as const;

export type LimitedResource = 'cpu' | 'memory';

/**
 * The sidecar's resources in a namespace: as wanted where nothing there forbids it, else the nearest that is admitted.
 * Given its own result it changes nothing.
 * @param others the pod's other containers that run at the same time, because a LimitRange of type Pod counts their sum
 */
export function fitResources(wanted: SidecarResources, limits: NamespaceLimits, others: readonly Container[]): FittedResources {
  const fitted = { ...wanted };
  const problems: string[] = [];
  for (const what of ['cpu', 'memory'] as const) {
    const bounds = boundsOf(what, limits, others);
    const [request, limit] = [`${what}Request`, `${what}Limit`] as const;
    const before: Asked = { request: amount(wanted[request]), limit: amount(wanted[limit]) };
    const after = admitted(before, bounds, what);
    if (after.request !== before.request) fitted[request] = quantityText(after.request, what);
    if (after.limit !== before.limit) fitted[limit] = quantityText(after.limit, what);
    const refusal = refusalOf(after, bounds);
    if (refusal !== '') problems.push(`the sidecar does not fit into the namespace's LimitRange: ${what}: ${refusal}`);
    else if (what === 'memory' && after !== before && after.limit !== undefined && after.limit < LEAST_REQUEST.memory)
      problems.push(
        `the namespace's LimitRange leaves the sidecar ${fitted[limit]} of memory; below ${quantityText(LEAST_REQUEST.memory, what)} it may be killed`,
      );
  }
  return { resources: fitted, problems };
}

/** The containers of a pod that run at the same time, but for those named. */
export function runningTogether({ spec }: InjectablePod, but: readonly string[]): Container[] {
  const staying = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...staying, ...(spec?.containers ?? [])].filter(({ name }) => !but.includes(name ?? ''));
}

/** undefined: nothing is asked for. */
interface Asked {
  readonly request: number | undefined;
  readonly limit: number | undefined;
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  /** Of one container's limit to its request. */
  readonly ratio: number;
  /** What one gets that says nothing. */
  readonly fallback: Asked;
  readonly needsRequest: boolean;
  readonly needsLimit: boolean;
  /** What a LimitRange of type Pod leaves; Infinity: there is none. */
  readonly room: { readonly request: number; readonly limit: number };
  /** Of the whole pod: ours must not be above it, then the sum is not, either. */
  readonly podRatio: number;
}

function boundsOf(what: LimitedResource, { ranges, counted }: NamespaceLimits, others: readonly Container[]): Bounds {
  const values = (type: string, field: Exclude<keyof LimitItem, 'type'>): number[] =>
    ranges.filter((item) => item.type === type).flatMap((item) => item[field][what] ?? []);
  const [min, max] = [Math.max(0, ...values('Container', 'min')), Math.min(...values('Container', 'max'))];
  const ratio = Math.min(...values('Container', 'maxLimitRequestRatio'));
  const fallback = { limit: values('Container', 'default')[0], request: values('Container', 'defaultRequest')[0] };
  const podMax = Math.min(...values('Pod', 'max'));
  const sum = (field: 'requests' | 'limits'): number =>
    others.reduce((total, { resources }) => total + (amount(String(resources?.[field]?.[what] ?? '')) ?? 0), 0);
  return {
    min,
    max,
    ratio,
    fallback,
    needsLimit: max !== Infinity || ratio !== Infinity || fallback.limit !== undefined || counted.includes(`limits.${what}`),
    needsRequest:
      min > 0 || ratio !== Infinity || fallback.request !== undefined || counted.includes(what) || counted.includes(`requests.${what}`),
    room: { request: podMax - (podMax === Infinity ? 0 : sum('requests')), limit: podMax - (podMax === Infinity ? 0 : sum('limits')) },
    podRatio: Math.min(...values('Pod', 'maxLimitRequestRatio')),
  };
}

function admitted(before: Asked, bounds: Bounds, what: LimitedResource): Asked {
  if (refusalOf(before, bounds) === '') return before;
  const { min, max, fallback, needsLimit, needsRequest, room } = bounds;
  let { request, limit } = before;
  // A container with a limit alone would get a request as high.
  if (request === undefined && (needsRequest || needsLimit)) request = fallback.request ?? LEAST_REQUEST[what];
  if (request !== undefined) request = Math.min(Math.max(request, min), max);
  const chosen = limit === undefined;
  if (limit === undefined && needsLimit) limit = Math.max(fallback.limit ?? 0, LEAST_LIMIT[what], request ?? 0);
  if (limit !== undefined) limit = Math.min(Math.max(limit, min, request ?? 0), max);
  if (limit !== undefined && limit > room.limit) limit = needsLimit || room.limit > 0 ? Math.max(room.limit, min, 0) : undefined;
  if (request !== undefined && request > room.request)
    request = needsRequest || room.request > 0 ? Math.max(room.request, min, 0) : undefined;
  if (request !== undefined && limit !== undefined) request = Math.min(request, limit);
  const ratio = Math.min(bounds.ratio, bounds.podRatio);
  if (request !== undefined && limit !== undefined && isTooManyTimes(limit, request, ratio)) {
    // A limit that we chose comes down first; what the sidecar needs to live is kept by asking for more.
    const least = chosen ? Math.min(limit, LEAST_LIMIT[what]) : limit;
    limit = Math.max(least, down(request * ratio, what));
    request = Math.max(request, up(limit / ratio, what));
    if (isTooManyTimes(limit, request, ratio)) request += 1 / STEP[what];
  }
  return { request, limit };
}

/** Why LimitRanges refuse a container that asks for this; '' they do not. What quotas have left is not known here. */
function refusalOf({ request, limit }: Asked, { min, max, ratio, fallback, needsLimit, needsRequest, room, podRatio }: Bounds): string {
  if (needsLimit && limit === undefined) return 'it needs a limit';
  if ((needsRequest || (fallback.limit !== undefined && needsLimit)) && request === undefined) return 'it needs a request';
  if (request !== undefined && request < min) return 'its request is below the minimum';
  if (limit !== undefined && limit < min) return 'its limit is below the minimum';
  if (limit !== undefined && limit > max) return 'its limit is above the maximum';
  if (request !== undefined && request > Math.min(max, limit ?? Infinity)) return 'its request is above its limit or the maximum';
  const isAbove = limit !== undefined && request !== undefined && isTooManyTimes(limit, request, Math.min(ratio, podRatio));
  if (isAbove) return 'its limit is too many times its request';
  if (limit !== undefined && limit > room.limit) return "with the pod's own containers it is above the maximum of a pod";
  if (request !== undefined && request > room.request) return "with the pod's own containers it is above the maximum of a pod";
  return '';
}

/** As LimitRanger divides, which refuses 2.8000000000000003 where 2.8 is the most. */
function isTooManyTimes(limit: number, request: number, ratio: number): boolean {
  return limit / request > ratio;
}

function amount(text: string): number | undefined {
  return text === '' ? undefined : (parseQuantity(text) ?? undefined);
}

/** Whole milli-cores and octets: quantities have no finer ones. */
const STEP = { cpu: 1000, memory: 1 } as const;

/** Against numbers such as 0.28 * 1000 = 280.00000000000006. */
function up(value: number, what: LimitedResource): number {
  return Math.ceil(value * STEP[what] - 1e-6) / STEP[what];
}

function down(value: number, what: LimitedResource): number {
  return Math.floor(value * STEP[what] + 1e-6) / STEP[what];
}

/** As a manifest says it: `10m`, `64Mi`; '' for undefined. */
export function quantityText(value: number | undefined, what: LimitedResource): string {
  if (value === undefined) return '';
  if (what === 'cpu') return `${Math.round(value * 1000)}m`;
  return value % 2 ** 20 === 0 ? `${value / 2 ** 20}Mi` : `${Math.round(value)}`;
}

/** Keeps of a LimitRange its entries, of which values that are no quantities are left out. */
export function limitItemsOf(raw: Record<string, unknown>): LimitItem[] {
  const items = isObject(raw.spec) && Array.isArray(raw.spec.limits) ? raw.spec.limits.filter(isObject) : [];
  return items.map((item) => ({
    type: String(item.type),
    min: quantities(item.min),
    max: quantities(item.max),
    default: quantities(item.default),
    defaultRequest: quantities(item.defaultRequest),
    maxLimitRequestRatio: quantities(item.maxLimitRequestRatio),
  }));
}

/** The names of the resources that a ResourceQuota counts. */
export function countedBy(raw: Record<string, unknown>): string[] {
  return isObject(raw.spec) && isObject(raw.spec.hard) ? Object.keys(raw.spec.hard) : [];
}

function quantities(map: unknown): Record<string, number> {
  const entries = Object.entries(isObject(map) ? map : {}).map(([name, value]) => [name, parseQuantity(String(value))] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => entry[1] !== null));
}
