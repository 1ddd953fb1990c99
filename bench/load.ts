// One run of h2load against a proxy: gRPC-shaped POSTs, each answer checked, latency from every request's own record.
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { answersWithoutTrailers } from './check.ts';
import type { HeaderKind, Order, Report } from './realistic-load.ts';

const REALISTIC_LOAD = path.join(import.meta.dirname, 'realistic-load.ts');

export interface Shape {
  readonly connections: number;
  /** Streams at once on each connection. */
  readonly streams: number;
  /** Default: the same headers in each request. */
  readonly headers?: HeaderKind;
}

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests that failed, were not answered with 2xx, or cannot have had trailers. */
  readonly errors: number;
}

export interface LoadSettings {
  readonly protocol: 'grpc' | 'http1';
  readonly h2load: string;
  readonly core: number;
  /** Command that load and probes are started by, such as nsenter into a pod's network. */
  readonly behind?: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** The request's body, and the same in a file; HTTP/1.1 is asked by GET, without it. */
  readonly body: Buffer;
  readonly bodyFile: string;
  readonly logFile: string;
}

/** A load that takes longer than this is stuck: h2load itself would wait for ever. */
const STUCK_MS = 180_000;

/**
 * Sends so many requests. Latencies are exact, those of each request.
 * @throws when the load ends without a result
 */
export function runLoad(settings: LoadSettings, shape: Shape, requests: number): Promise<LoadResult> {
  return shape.headers === undefined ? runH2load(settings, shape, requests) : runRealistic(settings, shape, shape.headers, requests);
}

function runRealistic(settings: LoadSettings, shape: Shape, headers: HeaderKind, requests: number): Promise<LoadResult> {
  const order: Order = {
    protocol: settings.protocol,
    host: settings.host,
    port: settings.port,
    path: settings.path,
    connections: shape.connections,
    streams: shape.streams,
    requests,
    headers,
    body: settings.body.toString('base64'),
  };
  const args = ['-c', `${settings.core}`, ...(settings.behind ?? []), process.execPath, REALISTIC_LOAD, JSON.stringify(order)];
  return new Promise((resolve, reject) => {
    execFile('taskset', args, { maxBuffer: 1 << 28, timeout: STUCK_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      if (error !== null) return reject(new Error(error.killed ? 'the load got stuck' : `the load: ${error.message}`));
      const { seconds, latenciesMs, errors } = JSON.parse(stdout) as Report;
      const latencies = Float64Array.from(latenciesMs).sort();
      resolve({
        requests,
        requestsPerSecond: requests / seconds,
        p50Ms: percentile(latencies, 0.5),
        p99Ms: percentile(latencies, 0.99),
        errors,
      });
    });
  });
}

/** What a load at a steady rate gave; the first second of it apart from the rest. */
export interface OpenLoopResult {
  readonly requests: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly firstSecondP50Ms: number;
  readonly firstSecondP99Ms: number;
}

/**
 * Sends so many requests a second, spread over the connections, for one second and then for `seconds` more.
 * @throws as runLoad()
 */
export async function runAtRate(settings: LoadSettings, connections: number, rate: number, seconds: number): Promise<OpenLoopResult> {
  const options = [`--rps=${rate / connections}`, '-D', `${1 + seconds}`, '-c', `${connections}`, '-m', '100', '-t', '1'];
  const stdout = await execH2load(settings, options);
  const log = readLog(settings.logFile);
  const startUs = log.reduce((least, { atUs }) => Math.min(least, atUs), Number.POSITIVE_INFINITY);
  const first = sorted(log.filter(({ atUs }) => atUs - startUs < 1e6));
  const rest = sorted(log.filter(({ atUs }) => atUs - startUs >= 1e6));
  const failed = /([0-9]+) failed, ([0-9]+) errored, ([0-9]+) timeout/.exec(stdout);
  if (failed === null || rest.length === 0) throw new Error(`h2load printed no result:\n${stdout}`);
  return {
    requests: log.length,
    errors: Number(failed[1]) + log.filter(({ status }) => status !== 200).length,
    p50Ms: percentile(rest, 0.5),
    p99Ms: percentile(rest, 0.99),
    p999Ms: percentile(rest, 0.999),
    firstSecondP50Ms: percentile(first, 0.5),
    firstSecondP99Ms: percentile(first, 0.99),
  };
}

async function runH2load(settings: LoadSettings, shape: Shape, requests: number): Promise<LoadResult> {
  const options = ['-n', `${requests}`, '-c', `${shape.connections}`, '-m', `${shape.streams}`, '-t', '1'];
  const stdout = await execH2load(settings, options);
  const rate = /finished in [^,]+, ([0-9.]+) req\/s/.exec(stdout);
  const ok = /status codes: ([0-9]+) 2xx/.exec(stdout);
  const octets = /traffic: \S+ \(([0-9]+)\) total, \S+ \(([0-9]+)\) headers .*, \S+ \(([0-9]+)\) data/.exec(stdout);
  if (rate === null || ok === null || octets === null) throw new Error(`h2load printed no result:\n${stdout}`);
  const latencies = sorted(readLog(settings.logFile));
  return {
    requests,
    requestsPerSecond: Number(rate[1]),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    errors:
      requests -
      Number(ok[1]) +
      (settings.protocol === 'http1' ? 0 : answersWithoutTrailers(Number(ok[1]), Number(octets[1]), Number(octets[2]), Number(octets[3]))),
  };
}

/** @returns what h2load printed; its log of requests is in settings.logFile */
function execH2load(settings: LoadSettings, options: readonly string[]): Promise<string> {
  const args = ['-c', `${settings.core}`, ...(settings.behind ?? []), settings.h2load, ...options];
  if (settings.protocol === 'http1') {
    args.push('--h1');
  } else {
    const headers = ['content-type: application/grpc', 'te: trailers', 'user-agent: grpc-go/1.60'];
    for (const header of headers) args.push('-H', header);
    args.push('-d', settings.bodyFile);
  }
  args.push(`--log-file=${settings.logFile}`, `http://${settings.host}:${settings.port}${settings.path}`);
  rmSync(settings.logFile, { force: true });
  return new Promise((resolve, reject) => {
    execFile('taskset', args, { maxBuffer: 1 << 24, timeout: STUCK_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(new Error(error.killed ? 'the load got stuck' : `h2load: ${error.message}`));
    });
  });
}

interface LoggedRequest {
  readonly atUs: number;
  readonly status: number;
  readonly durationUs: number;
}

/** h2load logs "start(µs)\tstatus\tduration(µs)" a line. The file is removed. */
function readLog(file: string): LoggedRequest[] {
  const lines = readFileSync(file, 'latin1').split('\n');
  rmSync(file, { force: true });
  return lines
    .map((line) => line.split('\t').map(Number))
    .filter((columns) => columns.length >= 3 && columns.every(Number.isFinite))
    .map(([atUs, status, durationUs]) => ({ atUs, status, durationUs }));
}

/** Latencies in ms. */
function sorted(log: readonly LoggedRequest[]): Float64Array {
  return Float64Array.from(log, ({ durationUs }) => durationUs / 1000).sort();
}

function percentile(latencies: Float64Array, share: number): number {
  return latencies.length === 0 ? Number.NaN : latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
}
