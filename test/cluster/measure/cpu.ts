// CPU per request of both sidecars in real pods, mTLS between them, and of two bare Envoys on loopback in the same
// minutes; alternating rounds, medians.
// npx node test/cluster/measure/cpu.ts [rounds, default 5] [seconds of a round, default 4]   On a quiet machine.
// Proxies have one core, load and server the other.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Backends, startBackend, startBackends, writeAnswer } from '../../../bench/backends.ts';
import { makeCertificates } from '../../../bench/certificates.ts';
import { probeBehind } from '../../../bench/check.ts';
import type { LoadSettings } from '../../../bench/load.ts';
import { combine, type Measurement, measure as measureOnce, shapeName } from '../../../bench/measure.ts';
import { envoy } from '../../../bench/peers/envoy.ts';
import type { Running } from '../../../bench/peers/peer.ts';
import { findProgram } from '../../../bench/processes.ts';
import { renderText } from '../../../bench/table.ts';
import { FIRST_WARM_SECONDS, LOAD_BODY, LOAD_CORE, LOAD_PATH, METHODS, PROXY_CORE, SHAPES, WARM_SECONDS } from '../../../bench/work.ts';
import { eventually, type Objects } from '../support/objects.ts';
import { GRPC_PORT, INJECT } from '../support/workloads.ts';
import { measure, say } from './frame.ts';
import { emptyPod, inNetworkOf, sidecarOf, startPods } from './pods.ts';
import { addressOf, routedService } from './table-route.ts';

const NS = 'measure-cpu';
const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const UNROUTED = '/bench.PaymentService/Nothing';
/**
 * CPU µs per request, client + server, of Istio's sidecars with this route on this kind of cluster; and the share of it
 * that is the aim.
 */
const ISTIO: Readonly<Record<string, { us: number; aim: number }>> = {
  '4,50': { us: 134, aim: 0.4 },
  '32,1': { us: 199, aim: 0.8 },
  '1,1': { us: 522, aim: 0.65 },
};

type Load = Omit<LoadSettings, 'host' | 'port'>;
interface Runner {
  readonly peer: string;
  readonly proxy: Running;
  readonly load: Load;
}

const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-measure-'));
const running: { stop(): Promise<void> }[] = [];
try {
  execFileSync('taskset', ['-a', '-c', '-p', `${LOAD_CORE}`, `${process.pid}`]);
  const h2load = findProgram('h2load');
  if (h2load === null) throw new Error('h2load is not installed: apt-get install nghttp2-client nghttp2-server');
  const bodyFile = path.join(directory, 'body');
  writeFileSync(bodyFile, LOAD_BODY);
  const load: Load = {
    protocol: 'grpc',
    h2load,
    core: LOAD_CORE,
    path: LOAD_PATH,
    body: LOAD_BODY,
    bodyFile,
    logFile: path.join(directory, 'h2load.log'),
  };
  // Strict: without mTLS nothing would be answered.
  await measure({ [NS]: { ...INJECT, 'weft.dev/mtls': 'strict' } }, async (objects) => {
    const runners = [await startEnvoys(load), await startInPods(objects, load)];
    const results: Measurement[] = [];
    for (const shape of SHAPES) {
      const byPeer = new Map<string, Measurement[]>(runners.map(({ peer }) => [peer, []]));
      for (let round = 0; round < ROUNDS; round++) {
        for (const { peer, proxy, load } of runners) {
          const warmSeconds = Math.min(SECONDS, round === 0 ? FIRST_WARM_SECONDS : WARM_SECONDS);
          const about = { peer, scenario: 'pair', shape } as const;
          const result = await measureOnce(load, proxy, about, { requests: 0, seconds: SECONDS, warmSeconds });
          byPeer.get(peer)!.push(result);
          const cpu = result.cpuUs.map((us) => us.toFixed(1)).join(' + ');
          say(`  ${shapeName(shape)} ${peer}: ${Math.round(result.requestsPerSecond)} requests/s, ${cpu} µs, ${result.errors} errors`);
        }
      }
      results.push(...[...byPeer.values()].map(combine));
    }
    say(`\n${renderText(results, [])}`);
    report(results);
  });
} finally {
  for (const each of running) await each.stop();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(process.exitCode ?? 0);

/** Two pods with sidecars; server and load are started in their networks. */
async function startInPods(objects: Objects, load: Load): Promise<Runner> {
  await startPods(objects, NS, emptyPod(NS, 'client'), emptyPod(NS, 'server'));
  await objects.apply(...routedService(NS, 'server', METHODS));
  const root = writeAnswer(directory, LOAD_PATH.slice(1));
  writeAnswer(directory, UNROUTED.slice(1));
  running.push(startBackend(LOAD_CORE, root, GRPC_PORT, [], await inNetworkOf(objects, NS, 'server')));
  const programs = [await sidecarOf(objects, NS, 'client'), await sidecarOf(objects, NS, 'server')];
  for (const { pid } of programs) execFileSync('taskset', ['-a', '-c', '-p', `${PROXY_CORE}`, `${pid}`]);
  const behind = await inNetworkOf(objects, NS, 'client');
  const host = await addressOf(objects, NS, 'server');
  const wrong = (url: string): number => probeBehind(behind, host, GRPC_PORT, url, LOAD_BODY);
  await eventually(
    'the route: whole answers, none to a method that it does not name',
    async () => wrong(LOAD_PATH) === 0 && wrong(UNROUTED) > 0,
  );
  return { peer: 'weft in pods', proxy: { host, port: GRPC_PORT, programs, stop: async () => {} }, load: { ...load, behind } };
}

/** The yardstick: client-side and server-side Envoy with the same route, no Kubernetes. */
async function startEnvoys(load: Load): Promise<Runner> {
  if (envoy.missing() !== '') throw new Error(envoy.missing());
  const trust = await makeCertificates(directory);
  const backends: Backends = await startBackends(LOAD_CORE, directory, LOAD_PATH.slice(1), trust.certificates);
  running.push(backends);
  const work = {
    scenario: 'pair',
    protocol: 'grpc',
    backendPorts: backends.plain,
    methods: METHODS,
    path: LOAD_PATH,
    core: PROXY_CORE,
    directory,
  } as const;
  const proxy = await envoy.start({ ...work, ...trust });
  running.unshift(proxy);
  return { peer: envoy.name, proxy, load };
}

function report(results: readonly Measurement[]): void {
  for (const shape of SHAPES) {
    const name = shapeName(shape);
    const [bare, ours] = results.filter((result) => shapeName(result.shape) === name);
    const sum = ({ cpuUs }: Measurement): number => cpuUs.reduce((total, us) => total + us, 0);
    const [ofIstio, ofBare] = [sum(ours) / ISTIO[name].us, sum(ours) / sum(bare)];
    say(
      `(${name}): ${sum(ours).toFixed(0)} µs a request, ${ofIstio.toFixed(2)} of Istio's ${ISTIO[name].us} (aim: ${ISTIO[name].aim}), ` +
        `${ofBare.toFixed(2)} of two bare Envoys' ${sum(bare).toFixed(0)}`,
    );
  }
  const errors = results.reduce((total, result) => total + result.errors, 0);
  say(`errors: ${errors}`);
  if (errors > 0) process.exitCode = 1;
}
