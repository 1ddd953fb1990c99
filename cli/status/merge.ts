// One picture from several replicas of the control plane: each knows all routes, and the sidecars that are connected to
// it. Pure.
import { worthShowing } from '#control-plane/publish/call-reports.ts';
import type { ParentView, RouteView, SidecarView, TracedCallView } from '#core/contract/view.ts';
import type { ReplicaAnswer } from '../cluster/replicas.ts';

export interface MeshStatus {
  readonly routes: readonly RouteView[];
  readonly sidecars: readonly SidecarView[];
  /** By Service, the slow one first; a slow call that failed stands once. */
  readonly calls: readonly TracedCallView[];
  /** "pod: why", of replicas that did not answer: their sidecars are missing here. */
  readonly unreachable: readonly string[];
  /** How many replicas answered. */
  readonly replicas: number;
  readonly problems: readonly string[];
}

/** Sorts before every character of a name: web before web-two. */
const SEPARATOR = '\u0000';

/**
 * Sums over replicas. A sidecar that two of them hold (it has just changed over) counts as the younger connection's.
 */
export function mergeAnswers(answers: readonly ReplicaAnswer[]): MeshStatus {
  const reports = answers.flatMap(({ report }) => (report.ok ? [report.value] : []));
  const sidecars = new Map<string, SidecarView>();
  for (const sidecar of reports.flatMap((report) => report.sidecars)) {
    const key = `${sidecar.namespace}${SEPARATOR}${sidecar.pod}`;
    const known = sidecars.get(key);
    if (known === undefined || known.connectedSinceMs < sidecar.connectedSinceMs) sidecars.set(key, sidecar);
  }
  const routes = new Map<string, RouteView>();
  for (const route of reports.flatMap((report) => report.routes)) {
    const key = [route.namespace, route.name, route.kind].join(SEPARATOR);
    const known = routes.get(key);
    routes.set(key, known === undefined ? route : mergeRoutes(known, route));
  }
  return {
    routes: [...routes].sort(byKey).map(([, route]) => route),
    sidecars: [...sidecars].sort(byKey).map(([, sidecar]) => sidecar),
    calls: mergeCalls(reports.flatMap((report) => report.calls)),
    unreachable: answers.flatMap(({ pod, report }) => (report.ok ? [] : [`${pod}: ${report.error}`])),
    replicas: reports.length,
    problems: [...new Set(reports.flatMap(({ problems }) => problems))],
  };
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function mergeCalls(all: readonly TracedCallView[]): TracedCallView[] {
  const shown = worthShowing(all);
  const slow = new Set(shown.flatMap(({ kind, traceId, service }) => (kind === 'slow' ? [`${service} ${traceId}`] : [])));
  return shown
    .filter(({ kind, traceId, service }) => kind === 'slow' || !slow.has(`${service} ${traceId}`))
    .map((call): [string, TracedCallView] => [`${call.service}${SEPARATOR}${call.kind === 'slow' ? 0 : 1}`, call])
    .sort(byKey)
    .map(([, call]) => call);
}

/** Conditions are those of the newer generation; the sidecars that run it add up. */
function mergeRoutes(a: RouteView, b: RouteView): RouteView {
  const [newer, other] = b.generation > a.generation ? [b, a] : [a, b];
  const parents = newer.parents.map((parent, i): ParentView => {
    const same = (one: ParentView | undefined) => one !== undefined && one.parent === parent.parent && one.port === parent.port;
    // Parents that differ in their sectionName only look alike here: the one at the same place, if there is one.
    const twin = same(other.parents[i]) ? other.parents[i] : other.parents.find(same);
    return twin === undefined ? parent : { ...parent, applied: addApplied(parent.applied, twin.applied) };
  });
  return { ...newer, parents };
}

function addApplied(a: ParentView['applied'], b: ParentView['applied']): ParentView['applied'] {
  return { want: a.want + b.want, applied: a.applied + b.applied, rejected: [...a.rejected, ...b.rejected] };
}
