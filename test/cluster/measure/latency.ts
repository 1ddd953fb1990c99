// Latency at a steady rate of gRPC calls through both sidecars (mTLS, a GRPCRoute) and between pods without: ghz
// against the echo server, open loop, alternating, medians.
// npx node test/cluster/measure/latency.ts [rounds, default 5] [seconds of a round, default 15]
//   [calls a second, default 1000]   On a quiet machine.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { binary } from '../binaries.ts';
import { must } from '../exec.ts';
import { eventually, type Objects } from '../support/objects.ts';
import { echo, GRPC_PORT, INJECT } from '../support/workloads.ts';
import { measure, quantile, say } from './frame.ts';
import { emptyPod, inNetworkOf, startPods } from './pods.ts';
import { addressOf, routedService } from './table-route.ts';

const MESHED = 'measure-latency';
const PLAIN = 'measure-latency-plain';
const [ROUNDS = 5, SECONDS = 15, RATE = 1000] = process.argv.slice(2).map(Number);
const CONNECTIONS = 4;
/** ghz's workers; with --async they do not wait for answers, so the rate does not follow them. */
const IN_FLIGHT = 50;
const WARM_CALLS = 5000;
const AIM_P50_MS = 1.2;
const SERVICE = 'proto.EchoTestService';
const METHODS = ['Authorize', 'Capture', 'Refund', 'Void', 'Quote', 'History', 'ForwardEcho', 'Echo'].map((name) => `/${SERVICE}/${name}`);
/** What is called of the suite's echo server. */
const PROTO = `syntax = "proto3";
package proto;
service EchoTestService { rpc Echo (Message) returns (Message); }
message Message { string message = 1; }
`;

/** As ghz prints it: times in ns. */
interface GhzReport {
  readonly count: number;
  readonly rps: number;
  readonly latencyDistribution: readonly { percentage: number; latency: number }[] | null;
  readonly statusCodeDistribution: Readonly<Record<string, number>>;
}

interface Figures {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-measure-'));
const proto = path.join(directory, 'echo.proto');
writeFileSync(proto, PROTO);
let errors = 0;
try {
  const ghz = await binary('ghz', say);
  await measure({ [MESHED]: { ...INJECT, 'weft.dev/mtls': 'strict' }, [PLAIN]: {} }, async (objects) => {
    const callers = { 'both sidecars': await startCaller(objects, ghz, MESHED), 'no mesh': await startCaller(objects, ghz, PLAIN) };
    const series: Record<string, Figures[]> = { 'both sidecars': [], 'no mesh': [] };
    for (const call of Object.values(callers)) await call(WARM_CALLS);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, call] of Object.entries(callers)) {
        const figures = await call(RATE * SECONDS);
        series[name].push(figures);
        say(`  ${name}: ${text(figures)}`);
      }
    }
    for (const [name, all] of Object.entries(series)) {
      const middle = (of: keyof Figures): number =>
        quantile(
          all.map((figures) => figures[of]),
          0.5,
        );
      say(`${name}, ${RATE} calls/s, median of ${ROUNDS}: ${text({ p50: middle('p50'), p95: middle('p95'), p99: middle('p99') })}`);
    }
    say(`errors: ${errors} (aim: p50 with both sidecars at most ${AIM_P50_MS} ms)`);
  });
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.exit(errors > 0 ? 1 : 0);

/** An empty pod and an echo server; the result calls from the one to the other's Service. */
async function startCaller(objects: Objects, ghz: string, namespace: string): Promise<(calls: number) => Promise<Figures>> {
  await objects.apply(echo({ namespace, name: 'echo' }), ...routedService(namespace, 'echo', METHODS));
  await startPods(objects, namespace, emptyPod(namespace, 'client'));
  await objects.rolledOut(namespace, 'echo');
  const behind = await inNetworkOf(objects, namespace, 'client');
  const address = `${await addressOf(objects, namespace, 'echo')}:${GRPC_PORT}`;
  const call = async (calls: number): Promise<GhzReport> => {
    const load = ['--async', '--rps', `${RATE}`, '-n', `${calls}`, '-c', `${IN_FLIGHT}`, '--connections', `${CONNECTIONS}`];
    const what = ['--insecure', '--proto', proto, '--call', `${SERVICE}.Echo`, '-d', '{"message":"hello"}', '-O', 'json', address];
    const [program, ...args] = [...behind, ghz, ...load, ...what];
    return JSON.parse(await must(program, args)) as GhzReport;
  };
  await eventually(`answers in ${namespace}`, async () => wrongIn(await call(IN_FLIGHT)) === 0);
  return async (calls) => {
    const report = await call(calls);
    errors += wrongIn(report) + calls - report.count;
    const at = (percentage: number): number =>
      (report.latencyDistribution?.find((each) => each.percentage === percentage)?.latency ?? Number.NaN) / 1e6;
    return { p50: at(50), p95: at(95), p99: at(99) };
  };
}

function wrongIn({ statusCodeDistribution, count }: GhzReport): number {
  return count - (statusCodeDistribution.OK ?? 0);
}

function text({ p50, p95, p99 }: Figures): string {
  return `p50 ${p50.toFixed(2)} ms, p95 ${p95.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;
}
