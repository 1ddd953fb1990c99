// The admin server: probes and metrics for all that can reach it, the former as a status without words; the reasons,
// /stats and /config_dump for loopback only.
import { timingSafeEqual } from 'node:crypto';
import type http from 'node:http';
import { PROBE_PATH, type ProbeTarget } from '#core/contract/probes.ts';
import { shedGreediest } from '#core/program/connection-bounds.ts';
import type { Exposition } from '#core/program/exposition.ts';
import { isLoopback, listenOn } from '#core/program/http-port.ts';
import { MetricsPage } from '#core/program/metrics-page.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { didYouMean } from '#core/text/nearest.ts';
import type { RequestSeries } from '../observe/counters/request-series.ts';
import { type ProbeOutcome, runProbe } from '../pod/probe/run.ts';
import { statsOf } from './stats.ts';

// An import would read every property of the module, among them getters that load undici: 2 MB of the sidecar's memory
// (Node 24).
const { createServer } = process.getBuiltinModule('node:http');

/** /readyz?wait answers no later: the kubelet's probe, which would ask again a second later, has 2 s. */
export const READY_WAIT_MS = 1500;
/** So often a held answer looks whether it can be given. */
const READY_LOOK_MS = 20;
/**
 * Connections at a time, of all and of one address. Past them the greediest address loses its oldest, so that no number
 * of other clients keeps the kubelet out.
 */
const MAX_CONNECTIONS = 512;
export const MAX_CONNECTIONS_PER_ADDRESS = 32;

export interface AdminDeps {
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

export class AdminServer {
  private readonly server: http.Server;
  private readonly deps: AdminDeps;
  private readonly timers: Timers;
  /**
   * Probes under way, by name: a request that comes meanwhile gets the same answer, so that other clients cannot wear
   * out the application.
   */
  private readonly probing = new Map<string, Promise<ProbeOutcome>>();
  private readonly metrics: MetricsPage;
  private closed = false;

  constructor(deps: AdminDeps, timers: Timers = systemTimers) {
    this.deps = deps;
    this.metrics = new MetricsPage((page) => deps.metrics(page), timers);
    this.timers = timers;
    this.server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => this.answer(request, response));
    shedGreediest(this.server, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS);
  }

  /** Resolves when the address is bound. @throws the system's error */
  async listen(host: string, port: number): Promise<void> {
    await listenOn(this.server, host, port);
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
    const { deps } = this;
    const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, TEXT, 'only GET\n');
    if (path === '/livez') return send(response, 200, TEXT, 'ok\n');
    if (path === '/readyz' || path === '/healthz')
      return this.answerReady(request, response, new URLSearchParams(query).has('wait') ? this.timers.now() + READY_WAIT_MS : 0);
    if (path === '/metrics') return this.metrics.answer(request, response);
    if (path.startsWith(PROBE_PATH)) return void this.answerProbe(path.slice(PROBE_PATH.length), query, request, response);
    if (isLoopback(request.socket.remoteAddress)) {
      if (path === '/stats')
        return send(
          response,
          200,
          'application/json',
          JSON.stringify({ series: Array.from(deps.series(), (each) => statsOf(each, deps.unixMs)) }),
        );
      if (path === '/config_dump') return send(response, 200, 'application/json', `${JSON.stringify(deps.configDump(), plain, 2)}\n`);
    }
    return send(response, 404, TEXT, 'no such page\n');
  }

  /** Answers whether we are ready: at once when we are, else at that time, Unix ms. */
  private answerReady(request: http.IncomingMessage, response: http.ServerResponse, latestMs: number): void {
    const missing = this.deps.notReady();
    if (missing === '') return send(response, 200, TEXT, 'ok\n');
    if (this.timers.now() >= latestMs)
      return send(response, 503, TEXT, isLoopback(request.socket.remoteAddress) ? `${missing}\n` : 'not ready\n');
    this.timers.after(READY_LOOK_MS, () => {
      if (!this.closed && !response.destroyed) this.answerReady(request, response, latestMs);
    });
  }

  private async answerProbe(name: string, token: string, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { targets = new Map<string, ProbeTarget>(), podAddress = '' } = this.deps.probes ?? {};
    const target = targets.get(name);
    const local = isLoopback(request.socket.remoteAddress);
    if (target === undefined && !local) return send(response, 404, TEXT, 'no such page\n');
    if (target === undefined) {
      const known = targets.size === 0 ? 'there are none' : `there are ${[...targets.keys()].join(', ')}`;
      return send(response, 404, TEXT, `no probe ${JSON.stringify(name)}${didYouMean(name, targets.keys())}; ${known}\n`);
    }
    if (target.token !== undefined && !isSame(token, target.token)) return send(response, 404, TEXT, 'no such page\n');
    let running = this.probing.get(name);
    if (running === undefined) {
      running = runProbe(target, podAddress, this.timers, request.headers['user-agent']).finally(() => this.probing.delete(name));
      this.probing.set(name, running);
    }
    const { ok, detail, status } = await running;
    // Of a hook the kubelet takes any answer for success. What it cannot read as one stands in its log.
    if (target.token !== undefined && !ok) return void request.socket.end(`weft: ${detail}\r\n`);
    // The kubelet's Event names only the status, so it gets the application's own; its words are not for others.
    send(response, ok ? 200 : status >= 400 ? status : 503, TEXT, local ? `${detail}\n` : ok ? 'ok\n' : 'failed\n');
  }
}

const TEXT = 'text/plain; charset=utf-8';

function send(response: http.ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** In a time that does not tell how much of it is right. */
function isSame(text: string, secret: string): boolean {
  const [one, other] = [Buffer.from(text), Buffer.from(secret)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function plain(name: string, value: unknown): unknown {
  if (name === '$typeName' || name === '$unknown') return undefined;
  return typeof value === 'bigint' ? `${value}` : value;
}
