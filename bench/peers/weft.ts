// Weft: the sidecar program itself, configured by a real control plane in this process.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TokenIssuer } from '#control-plane/issue/token.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENVIRONMENT, type SidecarEnvironment } from '#core/contract/environment.ts';
import { Protocol, type Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { VERSION } from '#core/contract/version.ts';
import { createLogger } from '#core/program/log.ts';
import { BACKEND_ACCOUNT, BACKEND_POD, backendWorkload, CLIENT_POD, clientWorkload, meshObjects, NAMESPACE } from '../mesh-objects.ts';
import { freePort, Program, sleep } from '../processes.ts';
import type { Peer, Running, Tracing, Work } from './peer.ts';

export const PROGRAM = path.join(import.meta.dirname, '..', '..', 'dist', 'sidecar.mjs');
const HERE = '127.0.0.1';
/** Where the serving pod's sidecar listens, on the ports that the application has on HERE. */
const POD = '127.0.0.2';
const DROPPED_SPANS = 'weft_spans_dropped_total';
const READY_WITHIN_MS = 10_000;
const HOUR_MS = 3600_000;
const INBOUND = { grpc: Protocol.HTTP2, http1: Protocol.HTTP1, tcp: Protocol.TCP } as const;

/** Which sidecar runs. */
export interface Build {
  readonly program: string;
  /** Beside the variables that every sidecar gets. */
  readonly environment?: Readonly<Record<string, string>>;
}

interface Mesh {
  readonly plane: ControlPlane;
  readonly tokens: TokenIssuer;
}

async function startMesh(work: Work, listenPort: number): Promise<Mesh> {
  const { trustDomain } = work.authority;
  const tokens = new TokenIssuer({ now: Date.now });
  const workloads: Readonly<Record<string, Workload>> = {
    [CLIENT_POD]: clientWorkload(trustDomain, HERE, listenPort),
    [BACKEND_POD]: backendWorkload(
      trustDomain,
      POD,
      HERE,
      work.scenario === 'pair' ? [...new Set(work.backendPorts)] : [],
      INBOUND[work.protocol],
    ),
  };
  const plane = await startControlPlane({
    authority: work.authority,
    verifyToken: tokens.verify,
    host: HERE,
    port: 0,
    objects: meshObjects({
      protocol: work.protocol,
      methods: work.methods,
      backendAddress: work.scenario === 'pair' ? POD : HERE,
      backendPorts: work.backendPorts,
      meshed: work.scenario !== 'plain',
    }),
    workloadOf: ({ pod }) => workloads[pod],
    log: createLogger({
      level: 'warn',
      format: 'text',
      component: 'bench',
      write: (line) => process.stderr.write(`${line}\n`),
      now: Date.now,
    }),
  });
  return { plane, tokens };
}

/** A sidecar that runs: its program, and where its metrics are. */
interface Sidecar {
  readonly program: Program;
  readonly metrics: string;
}

/** The standard variables that a user would set. */
function tracingEnvironment(tracing: Tracing | undefined): Record<string, string> {
  if (tracing === undefined) return {};
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://${HERE}:${tracing.port}`,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: `${tracing.share}`,
  };
}

/** Starts the sidecar of a pod and waits until it is ready. @throws with what it lacks */
async function startSidecar(work: Work, { plane, tokens }: Mesh, pod: string, account: string, build: Build): Promise<Sidecar> {
  const tokenFile = path.join(work.directory, `token-${pod}`);
  writeFileSync(tokenFile, tokens.sign({ namespace: NAMESPACE, serviceAccount: account, pod, uid: pod, lifetimeMs: HOUR_MS }), {
    mode: 0o600,
  });
  const adminPort = await freePort();
  const program = new Program(`weft (${pod})`, work.core, [process.execPath, ...SIDECAR_NODE_FLAGS, build.program], {
    ...SIDECAR_PROCESS_ENVIRONMENT,
    ...tracingEnvironment(work.tracing),
    ...build.environment,
    ...({
      WEFT_CONTROL_PLANE: `${HERE}:${plane.port}`,
      WEFT_TOKEN_FILE: tokenFile,
      WEFT_TRUST_BUNDLE_FILE: work.certificates.roots,
      WEFT_TRUST_DOMAIN: work.authority.trustDomain,
      WEFT_POD_NAMESPACE: NAMESPACE,
      WEFT_POD_NAME: pod,
      WEFT_ADMIN_ADDRESS: `${HERE}:${adminPort}`,
      WEFT_DRAIN_SECONDS: '0',
    } satisfies SidecarEnvironment),
  });
  try {
    await program.listening(adminPort);
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const answer = await fetch(`http://${HERE}:${adminPort}/readyz`);
      const text = await answer.text();
      if (answer.ok) return { program, metrics: `http://${HERE}:${adminPort}/metrics` };
      if (Date.now() > deadline) throw new Error(`the sidecar of ${pod} is not ready: ${text.trim()} (${program.lastWords()})`);
      await sleep(50);
    }
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** Starts the sidecar or the pair of them. */
async function start(work: Work, build: Build): Promise<Running> {
  const port = await freePort();
  const mesh = await startMesh(work, port);
  const sidecars: Sidecar[] = [];
  const stop = async (): Promise<void> => {
    for (const { program } of sidecars) await program.stop();
    await mesh.plane.close();
  };
  try {
    if (work.scenario === 'pair') sidecars.push(await startSidecar(work, mesh, BACKEND_POD, BACKEND_ACCOUNT, build));
    sidecars.unshift(await startSidecar(work, mesh, CLIENT_POD, CLIENT_POD, build));
    await sidecars[0].program.listening(port);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    host: HERE,
    port,
    programs: sidecars.map(({ program }) => program),
    droppedSpans: async () => {
      const pages = await Promise.all(sidecars.map(async ({ metrics }) => (await fetch(metrics)).text()));
      return pages.reduce((sum, page) => sum + sumOfSamples(page, DROPPED_SPANS), 0);
    },
    stop,
  };
}

/** The sum of all samples of one name on a metrics page. */
export function sumOfSamples(page: string, name: string): number {
  const samples = page.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)`, 'gm'));
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Weft as a peer, of any build of its sidecar. */
export function weftOf(name: string, build: Build): Peer {
  return {
    name,
    scenarios: ['plain', 'mtls', 'pair'],
    protocols: ['grpc', 'http1', 'tcp'],
    missing: () => (existsSync(build.program) ? '' : `${path.relative(process.cwd(), build.program)} is not built: npm run build`),
    version: () => VERSION,
    start: (work) => start(work, build),
  };
}

export const weft: Peer = weftOf('weft', { program: PROGRAM });
