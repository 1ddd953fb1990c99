// The mesh of most stories: a caller, and the Service `echo` with two versions that are also Services of their own (v1,
// v2).
import type { KubeObject } from '#kube/object.ts';
import { type GrpcApp, GrpcCaller, startApp } from './grpc-app.ts';
import { type MeshOptions, TestMesh, type TestPod } from './mesh.ts';

export interface EchoMesh {
  readonly mesh: TestMesh;
  readonly apps: ReadonlyMap<string, GrpcApp>;
  /** Calls `echo` from the pod `caller`. */
  readonly caller: GrpcCaller;
  /** A caller from another pod, or to another Service; closed with the mesh. */
  callerOf(pod: string, service: string): GrpcCaller;
  /** Publishes routes and waits until they are in force. */
  use(...routes: KubeObject[]): Promise<void>;
  close(): Promise<void>;
}

export interface EchoMeshOptions extends Partial<MeshOptions> {
  /** Services that the pod `caller` calls, as in TestPod. Default: `echo`. */
  readonly calls?: readonly string[];
  /** Pods besides `caller`, `v1` and `v2`. */
  readonly morePods?: readonly TestPod[];
}

const ECHO_SERVICES = { echo: ['v1', 'v2'], v1: ['v1'], v2: ['v2'] };

/**
 * Starts the mesh and the applications of all pods that serve. `pods` replaces all pods, `services` adds to the
 * Services or replaces some.
 */
export async function startEchoMesh({ calls = ['echo'], morePods = [], ...options }: EchoMeshOptions = {}): Promise<EchoMesh> {
  const echoPods = [{ name: 'caller', calls }, { name: 'v1', serves: true }, { name: 'v2', serves: true }, ...morePods];
  const pods: readonly TestPod[] = options.pods ?? echoPods;
  const mesh = await TestMesh.start({ ...options, pods, services: { ...ECHO_SERVICES, ...options.services } });
  const apps = new Map<string, GrpcApp>();
  for (const { name, serves } of pods) if (serves) apps.set(name, await startApp(name, mesh.appAddress(name)));
  const callers: GrpcCaller[] = [];
  const callerOf = (pod: string, service: string): GrpcCaller => {
    const caller = new GrpcCaller(mesh.address(pod, service));
    callers.push(caller);
    return caller;
  };
  return {
    mesh,
    apps,
    caller: callerOf('caller', 'echo'),
    callerOf,
    use: async (...routes) => {
      mesh.setRoutes(routes);
      await mesh.settled();
    },
    close: async () => {
      for (const caller of callers) caller.close();
      await mesh.close();
      for (const app of apps.values()) app.kill();
    },
  };
}

/** How many of these answers each pod gave. */
export function countBy(pods: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const pod of pods) counts[pod] = (counts[pod] ?? 0) + 1;
  return counts;
}
