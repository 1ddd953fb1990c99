// Weft: the sidecar program itself, configured by a real control plane in this process.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SIDECAR_ENVIRONMENT, SIDECAR_FLAGS } from '#cli/run/launch.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/assemble.ts';
import { TokenIssuer } from '#control-plane/issue/token.ts';
import type { Workload } from '#core/gen/weft/v1/mesh_pb.ts';
import { createLogger } from '#core/log.ts';
import { VERSION } from '#core/version.ts';
import { BACKEND_ACCOUNT, BACKEND_POD, backendWorkload, CLIENT_POD, clientWorkload, meshObjects, NAMESPACE } from '../mesh-objects.ts';
import { freePort, Program, sleep } from '../processes.ts';
import type { Peer, Running, Work } from './peer.ts';

const PROGRAM = path.join(import.meta.dirname, '..', '..', 'dist', 'sidecar.mjs');
const HERE = '127.0.0.1';
/** Where the serving pod's sidecar listens, on the ports that the application has on HERE. */
const POD = '127.0.0.2';
const READY_WITHIN_MS = 10_000;
const HOUR_MS = 3600_000;

interface Mesh {
  readonly plane: ControlPlane;
  readonly tokens: TokenIssuer;
}

async function startMesh(work: Work, listenPort: number): Promise<Mesh> {
  const { trustDomain } = work.authority;
  const tokens = new TokenIssuer({ now: Date.now });
  const workloads: Readonly<Record<string, Workload>> = {
    [CLIENT_POD]: clientWorkload(trustDomain, HERE, listenPort),
    [BACKEND_POD]: backendWorkload(trustDomain, POD, HERE, work.scenario === 'pair' ? work.backendPorts : []),
  };
  const plane = await startControlPlane({
    authority: work.authority,
    verifyToken: tokens.verify,
    host: HERE,
    port: 0,
    objects: meshObjects({
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

/** Starts the sidecar of a pod and waits until it is ready. @throws with what it lacks */
async function startSidecar(work: Work, { plane, tokens }: Mesh, pod: string, account: string): Promise<Program> {
  const tokenFile = path.join(work.directory, `token-${pod}`);
  writeFileSync(tokenFile, tokens.sign({ namespace: NAMESPACE, serviceAccount: account, pod, uid: pod, lifetimeMs: HOUR_MS }), {
    mode: 0o600,
  });
  const adminPort = await freePort();
  const program = new Program(`weft (${pod})`, work.core, [process.execPath, ...SIDECAR_FLAGS, PROGRAM], {
    ...SIDECAR_ENVIRONMENT,
    WEFT_CONTROL_PLANE: `${HERE}:${plane.port}`,
    WEFT_TOKEN_FILE: tokenFile,
    WEFT_TRUST_BUNDLE_FILE: work.certificates.roots,
    WEFT_TRUST_DOMAIN: work.authority.trustDomain,
    WEFT_POD_NAMESPACE: NAMESPACE,
    WEFT_POD_NAME: pod,
    WEFT_ADMIN_ADDRESS: `${HERE}:${adminPort}`,
    WEFT_DRAIN_SECONDS: '0',
  });
  try {
    await program.listening(adminPort);
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const answer = await fetch(`http://${HERE}:${adminPort}/readyz`);
      const text = await answer.text();
      if (answer.ok) return program;
      if (Date.now() > deadline) throw new Error(`the sidecar of ${pod} is not ready: ${text.trim()} (${program.lastWords()})`);
      await sleep(50);
    }
  } catch (error) {
    await program.stop();
    throw error;
  }
}

async function start(work: Work): Promise<Running> {
  const port = await freePort();
  const mesh = await startMesh(work, port);
  const programs: Program[] = [];
  const stop = async (): Promise<void> => {
    for (const program of programs) await program.stop();
    await mesh.plane.close();
  };
  try {
    if (work.scenario === 'pair') programs.push(await startSidecar(work, mesh, BACKEND_POD, BACKEND_ACCOUNT));
    programs.unshift(await startSidecar(work, mesh, CLIENT_POD, CLIENT_POD));
    await programs[0].listening(port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: HERE, port, programs, stop };
}

export const weft: Peer = {
  name: 'weft',
  scenarios: ['plain', 'mtls', 'pair'],
  missing: () => (existsSync(PROGRAM) ? '' : 'dist/sidecar.mjs is not built: npm run build'),
  version: () => VERSION,
  start,
};
