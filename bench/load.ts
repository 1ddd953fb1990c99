// One run of h2load against a proxy: gRPC-shaped POSTs, each answer checked, latency from every request's own record.
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { answersWithoutTrailers } from './check.ts';

export interface Shape {
  readonly connections: number;
  /** Streams at once on each connection. */
  readonly streams: number;
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
  readonly h2load: string;
  readonly core: number;
  /** Command that load and probes are started by, such as nsenter into a pod's network. */
  readonly behind?: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** The request's body, and the same in a file. */
  readonly body: Buffer;
  readonly bodyFile: string;
  readonly logFile: string;
}

/** A load that takes longer than this is stuck: h2load itself would wait for ever. */
const STUCK_MS = 180_000;

/**
 * Sends so many requests. Latencies are exact, from h2load's log of each request.
 * @throws when the load ends without a result
 */
export function runLoad(settings: LoadSettings, shape: Shape, requests: number): Promise<LoadResult> {
  const args = [
    '-c',
    `${settings.core}`,
    ...(settings.behind ?? []),
    settings.h2load,
    '-n',
    `${requests}`,
    '-c',
    `${shape.connections}`,
    '-m',
    `${shape.streams}`,
    '-t',
    '1',
  ];
  const headers = ['content-type: application/grpc', 'te: trailers', 'user-agent: grpc-go/1.60'];
  for (const header of headers) args.push('-H', header);
  args.push('-d', settings.bodyFile, `--log-file=${settings.logFile}`, `http://${settings.host}:${settings.port}${settings.path}`);
  rmSync(settings.logFile, { force: true });
  return new Promise((resolve, reject) => {
    execFile('taskset', args, { maxBuffer: 1 << 24, timeout: STUCK_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      if (error !== null) return reject(new Error(error.killed ? 'the load got stuck' : `h2load: ${error.message}`));
      const rate = /finished in [^,]+, ([0-9.]+) req\/s/.exec(stdout);
      const ok = /status codes: ([0-9]+) 2xx/.exec(stdout);
      const octets = /traffic: \S+ \(([0-9]+)\) total, \S+ \(([0-9]+)\) headers .*, \S+ \(([0-9]+)\) data/.exec(stdout);
      if (rate === null || ok === null || octets === null) return reject(new Error(`h2load printed no result:\n${stdout}`));
      const latencies = readLatencies(settings.logFile);
      resolve({
        requests,
        requestsPerSecond: Number(rate[1]),
        p50Ms: percentile(latencies, 0.5),
        p99Ms: percentile(latencies, 0.99),
        errors: requests - Number(ok[1]) + answersWithoutTrailers(Number(ok[1]), Number(octets[1]), Number(octets[2]), Number(octets[3])),
      });
    });
  });
}

/** Sorted latencies in ms; h2load logs "start(µs)\tstatus\tduration(µs)" a line. */
function readLatencies(file: string): Float64Array {
  const lines = readFileSync(file, 'latin1').split('\n');
  rmSync(file, { force: true });
  const all: number[] = [];
  for (const line of lines) {
    const duration = Number(line.slice(line.lastIndexOf('\t') + 1));
    if (line !== '' && Number.isFinite(duration)) all.push(duration / 1000);
  }
  return Float64Array.from(all).sort();
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
