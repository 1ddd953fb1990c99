// The admin server: probes and metrics for anyone who can reach it, the inner life for loopback only.
import type http from 'node:http';
import { GRPC_CODES } from '#core/contract/grpc-codes.ts';
import type { Exposition } from '#core/program/exposition.ts';
import { MetricsPage } from '#core/program/metrics-page.ts';
import { didYouMean } from '#core/program/nearest.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { type CallExample, unixEnd } from '../observe/counters/examples.ts';
import type { RequestSeries } from '../observe/counters/request-series.ts';
import { type ProbeOutcome, runProbe } from '../pod/probe/run.ts';
import type { ProbeTarget } from '../pod/probe/targets.ts';

// An import would read every property of the module, among them getters that load undici: 2 MB of the sidecar's memory (Node 24).
const { createServer } = process.getBuiltinModule('node:http');

/** /readyz?wait answers no later: the kubelet's probe, which would ask again a second later, has 2 s. */
export const READY_WAIT_MS = 1500;
/** So often a held answer looks whether it can be given. */
const READY_LOOK_MS = 20;
/** Connections at a time, of all and of one address: nobody else may keep the kubelet out. */
const MAX_CONNECTIONS = 512;
export const MAX_CONNECTIONS_PER_ADDRESS = 32;

export interface AdminSource {
  /** '' when ready, else what is missing. */
  notReady(): string;
  /** Puts what is counted on a page. */
  metrics(page: Exposition): void;
  /** The configuration in force; no secrets. */
  configDump(): unknown;
  series(): Iterable<RequestSeries>;
  /** Turns the monotonic ms of calls into Unix ms; absent: they are it. */
  readonly unixMs?: (monotonicMs: number) => number;
  /** The application's probes that were pointed at us, and where it is asked; absent: none. */
  readonly probes?: { readonly targets: ReadonlyMap<string, ProbeTarget>; readonly podAddress: string };
}

/** One series as /stats shows it; cumulative since the start. `weft run` reads this. */
export interface StatsSeries {
  direction: 'outbound' | 'inbound';
  caller: string;
  service: string;
  route: string;
  rule: string;
  method: string;
  backend: string;
  mtls: boolean;
  /** gRPC status → calls. */
  statuses: Record<string, number>;
  count: number;
  inFlight: number;
  /** Buckets that are not empty: upper bounds in ms and calls. */
  latency: { boundsMs: number[]; counts: number[] };
  /** The slowest call of about the last minute whose trace was recorded. Unix ms; absent: there is none. */
  slow?: { traceId: string; ms: number; endedMs: number };
  /** The last call whose trace was recorded and that ended with a status other than OK. */
  failed?: { traceId: string; code: string; ms: number; endedMs: number };
}

export class AdminServer {
  private readonly server: http.Server;
  private readonly source: AdminSource;
  private readonly timers: Timers;
  /** Probes under way, by name: who asks meanwhile gets the same answer, so that nobody can use up the application or the kubelet's turn. */
  private readonly probing = new Map<string, Promise<ProbeOutcome>>();
  private readonly connections = new Map<string, number>();
  private readonly metrics: MetricsPage;
  private closed = false;

  constructor(source: AdminSource, timers: Timers = systemTimers) {
    this.source = source;
    this.metrics = new MetricsPage((page) => source.metrics(page), timers);
    this.timers = timers;
    this.server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => this.answer(request, response));
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('connection', (socket) => this.count(socket));
  }

  /** Resolves when the address is bound. @throws the system's error */
  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, () => {
        this.server.removeListener('error', reject);
        this.server.on('error', () => {});
        resolve();
      });
    });
  }

  /** The port that is bound; 0 before listen(). */
  get port(): number {
    const address = this.server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  close(): void {
    this.closed = true;
    this.server.close();
    this.server.closeAllConnections();
  }

  private answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { source } = this;
    const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, TEXT, 'only GET\n');
    if (path === '/livez') return send(response, 200, TEXT, 'ok\n');
    if (path === '/readyz' || path === '/healthz')
      return this.answerReady(response, new URLSearchParams(query).has('wait') ? this.timers.now() + READY_WAIT_MS : 0);
    if (path === '/metrics') return this.metrics.answer(request, response);
    if (path.startsWith('/probe/')) return void this.answerProbe(path.slice('/probe/'.length), request, response);
    if (isLoopback(request.socket.remoteAddress ?? '')) {
      if (path === '/stats')
        return send(
          response,
          200,
          'application/json',
          JSON.stringify({ series: Array.from(source.series(), (each) => statsOf(each, source.unixMs)) }),
        );
      if (path === '/config_dump') return send(response, 200, 'application/json', `${JSON.stringify(source.configDump(), plain, 2)}\n`);
    }
    return send(response, 404, TEXT, 'no such page\n');
  }

  /** Says whether we are ready: at once when we are, else at that time, Unix ms. */
  private answerReady(response: http.ServerResponse, latestMs: number): void {
    const missing = this.source.notReady();
    if (missing === '') return send(response, 200, TEXT, 'ok\n');
    if (this.timers.now() >= latestMs) return send(response, 503, TEXT, `${missing}\n`);
    this.timers.after(READY_LOOK_MS, () => {
      if (!this.closed && !response.destroyed) this.answerReady(response, latestMs);
    });
  }

  private async answerProbe(name: string, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { targets = new Map<string, ProbeTarget>(), podAddress = '' } = this.source.probes ?? {};
    const target = targets.get(name);
    if (target === undefined) {
      const known = targets.size === 0 ? 'there are none' : `there are ${[...targets.keys()].join(', ')}`;
      return send(response, 404, TEXT, `no probe ${JSON.stringify(name)}${didYouMean(name, targets.keys())}; ${known}\n`);
    }
    let running = this.probing.get(name);
    if (running === undefined) {
      running = runProbe(target, podAddress, this.timers, request.headers['user-agent']).finally(() => this.probing.delete(name));
      this.probing.set(name, running);
    }
    const { ok, detail, status } = await running;
    // The kubelet's Event names the status and nothing else: the application's own says the most.
    send(response, ok ? 200 : status >= 400 ? status : 503, TEXT, `${detail}\n`);
  }

  private count(socket: http.IncomingMessage['socket']): void {
    const { remoteAddress: from = '' } = socket;
    const open = this.connections.get(from) ?? 0;
    if (open >= MAX_CONNECTIONS_PER_ADDRESS) return void socket.destroy();
    this.connections.set(from, open + 1);
    socket.once('close', () => {
      const left = this.connections.get(from)! - 1;
      if (left === 0) this.connections.delete(from);
      else this.connections.set(from, left);
    });
  }
}

const TEXT = 'text/plain; charset=utf-8';

function send(response: http.ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}

function plain(name: string, value: unknown): unknown {
  if (name === '$typeName' || name === '$unknown') return undefined;
  return typeof value === 'bigint' ? `${value}` : value;
}

function statsOf({ key, statuses, latency, inFlight, examples }: RequestSeries, unixMs = (ms: number): number => ms): StatsSeries {
  const byStatus: Record<string, number> = {};
  statuses.forEach((count, status) => {
    if (count > 0) byStatus[status] = count;
  });
  const { direction, caller, service, route, rule, method, backend, mtls } = key;
  const shown = (call: CallExample) => ({ traceId: call.trace.traceId, ms: call.ms, endedMs: unixEnd(call, unixMs) });
  return {
    direction,
    caller,
    service,
    route,
    rule,
    method,
    backend,
    mtls,
    statuses: byStatus,
    count: latency.count,
    inFlight,
    latency: latency.filled(),
    ...(examples?.slow ? { slow: shown(examples.slow) } : {}),
    ...(examples?.failed ? { failed: { ...shown(examples.failed), code: GRPC_CODES[examples.failed.status] } } : {}),
  };
}
