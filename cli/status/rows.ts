// What `weft status` says of routes and sidecars, as rows of a table. Pure.

import { statusName } from '#core/contract/grpc-codes.ts';
import type { ParentView, RouteView, SidecarView, TracedCallView } from '#core/contract/view.ts';
import { spanText } from '../print/span.ts';
import type { Cell } from '../print/table.ts';
import { latencyText } from '../print/words.ts';

export const ROUTE_TITLES = ['NAMESPACE', 'ROUTE', 'SERVICE', 'ACCEPTED', 'REFS', 'APPLIED', 'MESSAGE'] as const;
export const WIDE_ROUTE_TITLES = ['NAMESPACE', 'ROUTE', 'KIND', 'GENERATION', 'SERVICE', 'ACCEPTED', 'REFS', 'APPLIED', 'MESSAGE'] as const;
export const SIDECAR_TITLES = [
  'NAMESPACE',
  'POD',
  'WORKLOAD',
  'VERSION',
  'CONNECTED',
  'CONFIG AGE',
  'CERTIFICATE',
  'PENDING',
  'REJECTED',
] as const;
export const WIDE_SIDECAR_TITLES = [...SIDECAR_TITLES.slice(0, 7), 'RESOURCES', 'PENDING', 'REJECTED', 'REASON'] as const;
export const CALL_TITLES = ['SERVICE', 'METHOD', 'FROM', 'CODE', 'TIME', 'AGE', 'TRACE'] as const;
export const WIDE_CALL_TITLES = [...CALL_TITLES.slice(0, 2), 'ROUTE', 'FROM', 'CODE', 'ERROR', 'TIME', 'AGE', 'TRACE'] as const;

/** A certificate with less than this left is shown as a bad one. */
const CERTIFICATE_SOON_MS = 300_000;
const NOTHING = '–';

/** One row for each parent of each route. */
export function routeRows(routes: readonly RouteView[], wide: boolean): Cell[][] {
  return routes.flatMap((route) =>
    route.parents.map((parent) => {
      const service = serviceText(parent, route.namespace);
      const known = [
        conditionCell(parent, 'Accepted'),
        conditionCell(parent, 'ResolvedRefs'),
        appliedCell(parent),
        messageOf(parent, wide),
      ];
      return wide
        ? [route.namespace, route.name, route.kind, String(route.generation), service, ...known]
        : [route.namespace, route.name, service, ...known];
    }),
  );
}

/** A Service of the route's own namespace goes by its name. */
function serviceText({ parent, port }: ParentView, namespace: string): string {
  const name = parent.startsWith(`${namespace}/`) ? parent.slice(namespace.length + 1) : parent;
  return port === undefined ? name : `${name}:${port}`;
}

function conditionCell({ conditions }: ParentView, type: string): Cell {
  const found = conditions.find((condition) => condition.type === type);
  if (found === undefined) return { text: 'Unknown', bad: true };
  return { text: found.status, bad: found.status !== 'True' };
}

function appliedCell({ applied: { want, applied, rejected } }: ParentView): Cell {
  return want === 0 ? NOTHING : { text: `${applied}/${want}`, bad: rejected.length > 0 };
}

function messageOf({ conditions, applied: { rejected } }: ParentView, wide: boolean): string {
  const wrong = conditions
    .filter(({ type, status }) => (type === 'PartiallyInvalid' ? status === 'True' : status !== 'True'))
    .map(({ reason, message }) => `${reason}: ${message}`);
  const refused = rejected.map(({ pod, reason }) => `${pod} refuses it: ${reason}`);
  const all = [...wrong, ...refused];
  if (wide || all.length <= 1) return all.join('; ');
  return `${all[0]} (and ${all.length - 1} more; -o wide)`;
}

/** One row for each connected sidecar. @param nowMs Unix ms */
export function sidecarRows(sidecars: readonly SidecarView[], nowMs: number, wide: boolean): Cell[][] {
  return sidecars.map((sidecar) => {
    const { namespace, pod, workload, version, resources, pending, rejected } = sidecar;
    const start: Cell[] = [
      namespace,
      pod,
      workload || NOTHING,
      version || NOTHING,
      age(sidecar.connectedSinceMs, nowMs),
      age(sidecar.lastAckMs, nowMs),
      certificateCell(sidecar.certificateNotAfterMs, nowMs),
    ];
    const end: Cell[] = [String(pending), { text: String(rejected.length), bad: rejected.length > 0 }];
    if (!wide) return [...start, ...end];
    return [...start, String(resources), ...end, rejected.map(({ name, reason }) => `${name}: ${reason}`).join('; ')];
  });
}

/** One row for each call whose trace is worth a look. @param nowMs Unix ms */
export function callRows(calls: readonly TracedCallView[], nowMs: number, wide: boolean): Cell[][] {
  return calls.map(({ service, method, route, from, code, error, ms, endedMs, traceId }) => {
    const status: Cell = { text: statusName(code), bad: code !== 0 };
    const times = [latencyText(ms), age(endedMs, nowMs)];
    return wide
      ? [service, method, route || NOTHING, from, status, error || NOTHING, ...times, traceId]
      : [service, method, from, status, ...times, traceId];
  });
}

/** Clocks of two machines differ a little: nothing is younger than now. */
function age(sinceMs: number, nowMs: number): string {
  return sinceMs === 0 ? NOTHING : spanText(Math.max(0, nowMs - sinceMs));
}

function certificateCell(notAfterMs: number, nowMs: number): Cell {
  if (notAfterMs === 0) return NOTHING;
  const leftMs = notAfterMs - nowMs;
  return leftMs > 0 ? { text: spanText(leftMs), bad: leftMs < CERTIFICATE_SOON_MS } : { text: 'expired', bad: true };
}
