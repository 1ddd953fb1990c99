// The control plane inside `weft run`: an authority that lives as long as the run, and what the mesh needs of it.
import { Authority } from '#certs/authority.ts';
import type { VerifyToken } from '#control-plane/issue/token.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import type { RouteState } from '#control-plane/publish/standings.ts';
import { nearParentProblems } from '#control-plane/translate/routes/near-parents.ts';
import type { Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { CONTROL_PLANE_GRPC_PORT } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import type { KubeObject } from '#kube/object.ts';
import { controlPlaneAddress } from '../plan/addresses.ts';
import type { Manifest } from '../plan/manifests.ts';
import type { RouteRow } from '../stats/rows.ts';

export interface ControlDeps {
  /** First two numbers of the run's addresses. */
  readonly prefix: string;
  readonly trustDomain: string;
  readonly log: Logger;
  readonly verifyToken: VerifyToken;
  readonly workloadOf: (namespace: string, pod: string) => Workload | undefined;
}

export interface MeshControl {
  /** "127.77.0.1:15012". */
  readonly address: string;
  readonly rootsPem: string;
  /** Makes these all the objects there are. */
  apply(objects: readonly Manifest[]): void;
  workloadsChanged(): void;
  routes(): RouteRow[];
  problems(): string[];
  close(): Promise<void>;
}

/** @throws ControlPlaneStartError when the address is taken */
export async function startControl(deps: ControlDeps): Promise<MeshControl> {
  const { trustDomain, log, verifyToken } = deps;
  const host = controlPlaneAddress(deps.prefix);
  const authority = await Authority.create({ trustDomain, now: Date.now });
  const plane: ControlPlane = await startControlPlane({
    authority,
    verifyToken,
    host,
    port: CONTROL_PLANE_GRPC_PORT,
    workloadOf: (peer) => deps.workloadOf(peer.namespace, peer.pod),
    log,
  });
  return {
    address: `${host}:${plane.port}`,
    rootsPem: authority.rootsPem(),
    apply: (objects) => plane.setObjects(objects as readonly KubeObject[]),
    workloadsChanged: () => plane.workloadsChanged(),
    routes: () => plane.routeStates().map(routeRow),
    problems: () => [...plane.problems(), ...nearParentProblems(plane.store.routes(), plane.store)],
    close: () => plane.close(),
  };
}

function routeRow({ route, parent, parentRef, conditions }: RouteState): RouteRow {
  const [namespace, name] = parent.split('/');
  const where = namespace === route.namespace ? name : parent;
  const port = parentRef.port !== undefined ? ` port ${parentRef.port}` : parentRef.sectionName ? ` port ${parentRef.sectionName}` : '';
  return {
    ...route,
    parent: `Service ${where}${port}`,
    conditions: conditions.map(({ type, status, reason, message }) => ({ type, status, reason, message })),
  };
}
