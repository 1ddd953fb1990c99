// One run of the scale test: an API server of its own, one control plane, processes of sidecars; all end with it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Authority } from '#certs/authority.ts';
import { DEFAULT_TRUST_DOMAIN } from '#core/contract/names.ts';
import { connectKube } from '#kube/client.ts';
import type { KubeObject } from '#kube/object.ts';
import { crds } from '../../test/cluster/binaries.ts';
import { freePorts } from '../../test/support/free-port.ts';
import { type RealApiServer, startRealApiServer } from '../../test/support/real-api-server.ts';
import { Crowd, type CrowdSettings } from './crowd.ts';
import type { CrowdMember } from './crowd-program.ts';
import { changes, memoryOf, returns, verdicts } from './measures.ts';
import { BIG, callerName, NAMESPACE, ScaleObjects, serviceName } from './objects.ts';
import type { ScaleOptions } from './options.ts';
import { Plane } from './plane.ts';
import type { ScaleFigures } from './report.ts';

/** Wide enough for 20,000 Services. */
const SERVICE_RANGE = '10.64.0.0/12';
const CLIENTS = 4;
/** Memory is measured at so many steps, from none on. */
const STEPS = 4;
/** Sidecars that come and go, so that counts change. */
const CHURNERS = 8;
const CHURN_NETWORK = 100;
const PLANE_CORE = 0;

/** One that fails, or is stopped, has the figures until then, and says why. */
export async function runScale(options: ScaleOptions, say: (text: string) => void, stopped: AbortSignal): Promise<ScaleFigures> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-scale-'));
  const crowds: Crowd[] = [];
  let server: RealApiServer | null = null;
  let plane: Plane | null = null;
  const figures: ScaleFigures = { memory: [], changes: [], returns: [], verdicts: null, readyMs: 0, problem: '' };
  const endAll = async (): Promise<void> => {
    for (const crowd of crowds) crowd.end();
    await plane?.end('SIGKILL');
    await server?.stop();
  };
  // Whatever is waited for then fails.
  stopped.addEventListener('abort', () => void endAll());
  try {
    const started = await startRealApiServer([], SERVICE_RANGE);
    if ('skip' in started) throw new Error(started.skip);
    server = started;
    const kubeconfig = path.join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, kubeconfigOf(server));
    const objects = new ScaleObjects(await Promise.all(Array.from({ length: CLIENTS }, () => connectKube({ kubeconfig }))), stopped);
    const pem = await Authority.generate({ trustDomain: DEFAULT_TRUST_DOMAIN, now: Date.now });
    await objects.begin(
      pem,
      parseAllDocuments(await crds('experimental'))
        .map((document) => document.toJS() as KubeObject)
        .filter(isCrd),
    );
    const uids = await timed(say, 'objects written', async () => {
      await objects.fill(options.services);
      return objects.callers(options.sidecars + CHURNERS);
    });
    const cores = coresBut(PLANE_CORE);
    for (const pid of server.pids) execFileSync('taskset', ['-a', '-c', '-p', cores, `${pid}`]);
    const files = { token: path.join(directory, 'token'), roots: path.join(directory, 'roots.pem') };
    writeFileSync(files.token, 'none');
    writeFileSync(files.roots, pem.certificate);
    const [port, viewPort] = await freePorts(2);
    const settings = { kubeconfig, port: port!, viewPort: viewPort!, core: PLANE_CORE, heapMiB: options.heap };
    let starts = 0;
    const start = (otherHashes = false): Plane => (plane = new Plane({ ...settings, name: `weft-${starts++}`, otherHashes }));
    const crowdSettings: CrowdSettings = {
      authority: pem,
      trustDomain: DEFAULT_TRUST_DOMAIN,
      port: port!,
      namespace: NAMESPACE,
      files,
      cores,
    };
    const member = (i: number, wants: readonly string[]): CrowdMember => ({
      pod: callerName(i),
      uid: uids[i]!,
      wants: [BIG, ...wants].map((name) => `${NAMESPACE}/${name}`),
    });

    let now = start();
    figures.readyMs = await now.ready();
    say(`the control plane is ready after ${(figures.readyMs / 1000).toFixed(1)} s`);
    const crowd = new Crowd(crowdSettings);
    crowds.push(crowd);
    const { memory, changes: changed, returns: came } = figures;
    memory.push(await memoryOf(now, 0));
    for (let step = 1; step <= STEPS; step++) {
      const upTo = Math.round((options.sidecars * step) / STEPS);
      const fresh = Array.from({ length: upTo - crowd.size }, (_, k) => member(crowd.size + k, wantsOf(crowd.size + k, options)));
      await crowd.add(fresh);
      await crowd.connected();
      memory.push(await memoryOf(now, upTo));
      say(`${upTo} sidecars are connected: ${memory.at(-1)!.rssMiB.toFixed(0)} MiB`);
    }
    for await (const one of changes(now, crowd, objects, options.changes)) {
      changed.push(one);
      say(`${one.change}: ${one.mostMs.toFixed(0)} ms at most, ${one.octetsEach.toFixed(0)} octets each`);
    }
    for (const [what, otherHashes] of [
      ['the replica was killed', false],
      ['an upgrade in which every version is another', true],
    ] as const) {
      const [next, one] = await returns(what, now, crowd, () => start(otherHashes));
      now = next;
      came.push(one);
      say(`${what}: all are back after ${(one.allMs / 1000).toFixed(1)} s`);
    }
    // It gives its lease back: the next one leads at once.
    await now.end('SIGTERM');
    crowd.end();

    await timed(say, 'routes written', () => objects.routes(options.routes));
    const churn = new Crowd(crowdSettings, CHURN_NETWORK);
    crowds.push(churn);
    now = start();
    await now.ready();
    const wants = Array.from({ length: options.churning }, (_, i) => serviceName(i));
    await churn.add(Array.from({ length: CHURNERS }, (_, i) => member(options.sidecars + i, wants)));
    figures.verdicts = await verdicts(now, objects, churn, options);
  } catch (error) {
    figures.problem = (error as Error).message;
  } finally {
    await endAll();
    rmSync(directory, { recursive: true, force: true });
  }
  return figures;
}

/** All others, as taskset takes them; the same where there is no other. */
function coresBut(core: number): string {
  const others = os.cpus().flatMap((_, i) => (i === core ? [] : [i]));
  return others.join(',') || `${core}`;
}

/** Spread over all Services, others for each sidecar. */
function wantsOf(sidecar: number, { services, wants }: ScaleOptions): string[] {
  return Array.from({ length: wants }, (_, k) => serviceName((sidecar * 7919 + k * 104_729) % services));
}

function isCrd({ kind }: KubeObject): boolean {
  return kind === 'CustomResourceDefinition';
}

function kubeconfigOf({ url, adminToken }: RealApiServer): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: adminToken } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
}

async function timed<T>(say: (text: string) => void, what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  say(`${what} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return result;
}
