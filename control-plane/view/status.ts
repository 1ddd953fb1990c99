// What GET /status tells: the state of routes, sidecars and the control plane itself, for `weft status` and `weft check`.
import { VERSION } from '#core/contract/version.ts';
import type { Condition } from '#objects/condition.ts';
import type { ControlPlane, RouteState } from '../program/assemble.ts';
import { type ReportedCall, worthShowing } from '../publish/call-reports.ts';
import type { AppliedOn } from '../publish/publisher.ts';

/** The JSON of GET /status. Times are Unix ms. One replica's view: it knows of the sidecars that are connected to it. */
export interface StatusReport {
  readonly version: string;
  /** The pod that answers. */
  readonly replica: string;
  /** Whether this replica writes statuses and trust bundles. */
  readonly leader: boolean;
  readonly trustDomain: string;
  /** From then on nothing is signed. 0: the authority is not loaded yet. */
  readonly authorityNotAfterMs: number;
  /** Kinds that the API server does not serve, such as GRPCRoute. */
  readonly missingKinds: readonly string[];
  /** What is wrong, one sentence each. Empty: all is well. */
  readonly problems: readonly string[];
  readonly routes: readonly RouteReport[];
  readonly sidecars: readonly SidecarReport[];
  /** Of each Service a recent slow call and the last failed one, of those whose traces are recorded. */
  readonly calls: readonly TracedCallReport[];
  /** Empty where the objects come from files. */
  readonly reflectors: readonly ReflectorReport[];
}

export interface RouteReport {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** metadata.generation that was judged. */
  readonly generation: number;
  readonly parents: readonly ParentReport[];
}

export interface ParentReport {
  /** The Service, "namespace/name". */
  readonly parent: string;
  /** Of the parentRef; absent: all ports. */
  readonly port?: number;
  readonly conditions: readonly Condition[];
  readonly applied: AppliedOn;
}

export interface SidecarReport {
  readonly namespace: string;
  readonly pod: string;
  /** Name of the Deployment or the like; empty: the pod is not known. */
  readonly workload: string;
  /** Weft's version in the sidecar. */
  readonly version: string;
  readonly connectedSinceMs: number;
  /** 0: nothing is acknowledged yet. */
  readonly lastAckMs: number;
  /** 0: not known. */
  readonly certificateNotAfterMs: number;
  /** How many resources it runs. */
  readonly resources: number;
  /** How many are on their way. */
  readonly pending: number;
  readonly rejected: readonly { readonly name: string; readonly reason: string }[];
}

export interface TracedCallReport extends ReportedCall {
  /** Who called, "namespace/workload". */
  readonly from: string;
}

export interface ReflectorReport {
  readonly kind: string;
  readonly synced: boolean;
  /** 0: there was none yet. */
  readonly lastEventMs: number;
  /** Empty: none. */
  readonly lastError: string;
}

/** What the control plane's assembly does not know of itself. */
export interface Surroundings {
  readonly replica: string;
  readonly leader: boolean;
  readonly trustDomain: string;
  readonly missingKinds: readonly string[];
  readonly problems: readonly string[];
  readonly reflectors: readonly ReflectorReport[];
}

/** @param controlPlane null: it does not serve yet */
export function statusReport(controlPlane: ControlPlane | null, around: Surroundings): StatusReport {
  return {
    version: VERSION,
    replica: around.replica,
    leader: around.leader,
    trustDomain: around.trustDomain,
    authorityNotAfterMs: controlPlane?.authorityNotAfterMs ?? 0,
    missingKinds: around.missingKinds,
    problems: [...around.problems, ...(controlPlane?.problems() ?? [])],
    routes: controlPlane === null ? [] : routeReports(controlPlane.routeStates()),
    sidecars: controlPlane === null ? [] : sidecarReports(controlPlane),
    calls: controlPlane === null ? [] : callReports(controlPlane),
    reflectors: around.reflectors,
  };
}

function routeReports(states: readonly RouteState[]): RouteReport[] {
  const routes = new Map<string, { kind: string; namespace: string; name: string; generation: number; parents: ParentReport[] }>();
  for (const { route, generation, parentRef, parent, conditions, applied } of states) {
    const key = `${route.namespace}/${route.name} ${route.kind}`;
    let report = routes.get(key);
    if (report === undefined) routes.set(key, (report = { ...route, generation, parents: [] }));
    report.parents.push({ parent, ...(typeof parentRef.port === 'number' ? { port: parentRef.port } : {}), conditions, applied });
  }
  return [...routes].sort(([a], [b]) => compareText(a, b)).map(([, report]) => report);
}

function sidecarReports({ publisher }: ControlPlane): SidecarReport[] {
  const reports = publisher.sidecars().map((sidecar): SidecarReport => {
    const { namespace, pod } = sidecar.peer;
    const { inForce, pending } = sidecar.counts;
    return {
      namespace,
      pod,
      workload: publisher.workloadOf(sidecar.peer)?.name ?? '',
      version: sidecar.version,
      connectedSinceMs: sidecar.connectedSinceMs,
      lastAckMs: sidecar.lastAckMs,
      certificateNotAfterMs: sidecar.certificateNotAfterMs,
      resources: inForce,
      pending,
      rejected: sidecar.rejected().map(({ name, reason }) => ({ name, reason })),
    };
  });
  return reports.sort((a, b) => compareText(`${a.namespace}/${a.pod}`, `${b.namespace}/${b.pod}`));
}

function callReports({ publisher }: ControlPlane): TracedCallReport[] {
  const calls = publisher.sidecars().flatMap(({ peer, calls: told }) => {
    const { namespace, pod } = peer;
    const from = `${namespace}/${publisher.workloadOf(peer)?.name || pod}`;
    return told.all().map((call): TracedCallReport => ({ ...call, from }));
  });
  return worthShowing(calls).sort((a, b) => compareText(`${a.service} ${a.kind}`, `${b.service} ${b.kind}`));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
