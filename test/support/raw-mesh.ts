// The mesh of stories that look at header fields: a caller and the Service `echo`, whose pods run applications on bare
// HTTP/2.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TelemetrySchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { KubeObject } from '#kube/object.ts';
import { type MeshOptions, TestMesh, type TestPod } from './mesh.ts';
import { type RawApp, RawCaller, startRawApp } from './raw-app.ts';

export interface RawMesh {
  readonly mesh: TestMesh;
  /** The application of each pod that serves. */
  readonly apps: ReadonlyMap<string, RawApp>;
  /** The application of the pod `v1`. */
  readonly app: RawApp;
  /** Calls `echo` from the pod `caller`. */
  readonly caller: RawCaller;
  /** Publishes routes and waits until they are in force. */
  use(...routes: KubeObject[]): Promise<void>;
  /** Publishes what a pod's tracing and access log shall be, and waits until it is in force. */
  useTelemetry(pod: string, telemetry: MessageInitShape<typeof TelemetrySchema>): Promise<void>;
  close(): Promise<void>;
}

const RAW_PODS: readonly TestPod[] = [
  { name: 'caller', calls: ['echo'] },
  { name: 'v1', serves: true },
];

/** Starts the mesh and the applications. Every pod that serves stands behind `echo` and is a Service of its own. */
export async function startRawMesh(options: Omit<Partial<MeshOptions>, 'services'> = {}): Promise<RawMesh> {
  const pods = options.pods ?? RAW_PODS;
  const serving = pods.filter(({ serves }) => serves).map(({ name }) => name);
  const services = { echo: serving, ...Object.fromEntries(serving.map((name) => [name, [name]])) };
  const mesh = await TestMesh.start({ ...options, pods, services });
  const apps = new Map<string, RawApp>();
  for (const name of serving) apps.set(name, await startRawApp(mesh.appAddress(name)));
  const caller = new RawCaller(mesh.address('caller', 'echo'));
  await mesh.settled();
  return {
    mesh,
    apps,
    app: apps.get('v1')!,
    caller,
    use: async (...routes) => {
      mesh.setRoutes(routes);
      await mesh.settled();
    },
    useTelemetry: async (pod, telemetry) => {
      mesh.setTelemetry(pod, telemetry);
      await mesh.settled();
    },
    close: async () => {
      caller.close();
      await mesh.close();
      for (const app of apps.values()) app.close();
    },
  };
}
