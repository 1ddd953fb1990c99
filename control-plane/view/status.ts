// What GET /status shows: the state of routes, sidecars and the control plane itself, for `weft status` and `weft
// check`.
import { VERSION } from '#core/contract/version.ts';
import type { AuthorityView, ParentView, ReflectorView, RouteView, SidecarView, StatusView, TracedCallView } from '#core/contract/view.ts';
import type { IssueCounts } from '../issue/service.ts';
import { worthShowing } from '../publish/call-reports.ts';
import type { Publisher } from '../publish/publisher.ts';
import type { RouteState } from '../publish/standings.ts';

/** What is shown of a control plane that serves. */
export interface Serving {
  readonly publisher: Publisher;
  /** Unix ms. */
  readonly authorityNotAfterMs: number;
  readonly issued: Readonly<IssueCounts>;
  /** For people. */
  problems(): string[];
}

/** What is shown besides, whether the control plane serves yet or not. */
export interface StatusAround {
  readonly replica: string;
  readonly leader: boolean;
  readonly trustDomain: string;
  readonly authority?: AuthorityView | null;
  readonly missingKinds: readonly string[];
  readonly problems: readonly string[];
  readonly reflectors: readonly ReflectorView[];
}

/** @param serving null: it does not serve yet */
export function statusReport(serving: Serving | null, around: StatusAround): StatusView {
  return {
    version: VERSION,
    replica: around.replica,
    leader: around.leader,
    trustDomain: around.trustDomain,
    authorityNotAfterMs: serving?.authorityNotAfterMs ?? 0,
    ...(around.authority && { authority: around.authority }),
    missingKinds: around.missingKinds,
    problems: [...around.problems, ...(serving?.problems() ?? [])],
    routes: serving === null ? [] : routeReports(serving.publisher.routeStates()),
    sidecars: serving === null ? [] : sidecarReports(serving),
    calls: serving === null ? [] : callReports(serving),
    reflectors: around.reflectors,
  };
}

function routeReports(states: readonly RouteState[]): RouteView[] {
  const routes = new Map<string, { kind: string; namespace: string; name: string; generation: number; parents: ParentView[] }>();
  for (const { route, generation, parentRef, parent, conditions, applied } of states) {
    const key = `${route.namespace}/${route.name} ${route.kind}`;
    let report = routes.get(key);
    if (report === undefined) routes.set(key, (report = { ...route, generation, parents: [] }));
    report.parents.push({ parent, ...(typeof parentRef.port === 'number' ? { port: parentRef.port } : {}), conditions, applied });
  }
  return [...routes].sort(([a], [b]) => compareText(a, b)).map(([, report]) => report);
}

function sidecarReports({ publisher }: Serving): SidecarView[] {
  const reports = publisher.sidecars().map((sidecar): SidecarView => {
    const { namespace, pod } = sidecar.peer;
    const { inForce, pending } = sidecar.delivery.counts;
    return {
      namespace,
      pod,
      workload: publisher.workloadOf(sidecar.peer)?.name ?? '',
      version: sidecar.version,
      connectedSinceMs: sidecar.connectedSinceMs,
      lastAckMs: sidecar.delivery.lastAckMs,
      certificateNotAfterMs: sidecar.certificateNotAfterMs,
      resources: inForce,
      pending,
      rejected: sidecar.delivery.rejected().map(({ name, reason }) => ({ name, reason })),
    };
  });
  return reports.sort((a, b) => compareText(`${a.namespace}/${a.pod}`, `${b.namespace}/${b.pod}`));
}

function callReports({ publisher }: Serving): TracedCallView[] {
  const calls = publisher.sidecars().flatMap(({ peer, calls: reported }) => {
    const { namespace, pod } = peer;
    const from = `${namespace}/${publisher.workloadOf(peer)?.name || pod}`;
    return reported.all().map((call): TracedCallView => ({ ...call, from }));
  });
  return worthShowing(calls).sort((a, b) => compareText(`${a.service} ${a.kind}`, `${b.service} ${b.kind}`));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
