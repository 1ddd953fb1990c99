// Lays the mesh's status out for people: tables, or what an empty one means. Pure.
import { LABEL_INJECT } from '#core/contract/names.ts';
import type { Style } from '../print/style.ts';
import { tableLines } from '../print/table.ts';
import type { MeshStatus } from './merge.ts';
import {
  CALL_TITLES,
  callRows,
  ROUTE_TITLES,
  routeRows,
  SIDECAR_TITLES,
  sidecarRows,
  WIDE_CALL_TITLES,
  WIDE_ROUTE_TITLES,
  WIDE_SIDECAR_TITLES,
} from './rows.ts';

export type What = 'routes' | 'sidecars' | 'calls';

export interface Layout {
  /** All, in this order, when there are several. */
  readonly what: readonly What[];
  readonly wide: boolean;
  /** Absent: all. */
  readonly namespace?: string;
  /** Unix ms. */
  readonly nowMs: number;
  readonly style: Style;
}

/** Lines without line ends. */
export function layOutStatus(status: MeshStatus, layout: Layout): string[] {
  return layout.what.flatMap((what, i) => {
    const lines = LINES[what](status, layout);
    return i === 0 ? lines : ['', ...lines];
  });
}

function routeLines({ routes }: MeshStatus, { wide, style, namespace }: Layout): string[] {
  if (routes.length === 0) {
    const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
    return [`no route is attached to a Service${where}: calls go to the Services' own endpoints`];
  }
  return tableLines(wide ? WIDE_ROUTE_TITLES : ROUTE_TITLES, routeRows(routes, wide), style);
}

function sidecarLines({ sidecars }: MeshStatus, { wide, style, namespace, nowMs }: Layout): string[] {
  if (sidecars.length === 0) {
    const name = namespace ?? 'NAME';
    return [
      `no sidecar is connected${namespace === undefined ? '' : ` from namespace ${namespace}`}`,
      `to mesh a namespace: kubectl label namespace ${name} ${LABEL_INJECT}=enabled, then kubectl -n ${name} rollout restart deployment`,
    ];
  }
  return tableLines(wide ? WIDE_SIDECAR_TITLES : SIDECAR_TITLES, sidecarRows(sidecars, nowMs, wide), style);
}

function callLines({ calls }: MeshStatus, { wide, style, namespace, nowMs }: Layout): string[] {
  if (calls.length === 0) {
    const where = namespace === undefined ? '' : ` to or from namespace ${namespace}`;
    return [`no recorded call${where} is known: sidecars with tracing tell of a slow and of the last failed call of each Service`];
  }
  return tableLines(wide ? WIDE_CALL_TITLES : CALL_TITLES, callRows(calls, nowMs, wide), style);
}

const LINES = { routes: routeLines, sidecars: sidecarLines, calls: callLines } satisfies Record<What, unknown>;

/** The part of one namespace: its routes, and routes on its Services; its sidecars; calls to and from it. */
export function ofNamespace(status: MeshStatus, namespace: string | undefined): MeshStatus {
  if (namespace === undefined) return status;
  return {
    ...status,
    routes: status.routes.filter(
      (route) => route.namespace === namespace || route.parents.some(({ parent }) => parent.startsWith(`${namespace}/`)),
    ),
    sidecars: status.sidecars.filter((sidecar) => sidecar.namespace === namespace),
    calls: status.calls.filter(({ service, from }) => [service, from].some((name) => name.startsWith(`${namespace}/`))),
  };
}
