// The admin server: probes and metrics for anyone who can reach it, the inner life for loopback only.
import type http from 'node:http';
import type { RequestSeries } from './request-series.ts';

// An import would read every property of the module, among them getters that load undici: 2 MB of the sidecar's memory (Node 24).
const { createServer } = process.getBuiltinModule('node:http');

export interface AdminSource {
  /** '' when ready, else what is missing. */
  notReady(): string;
  metrics(): string;
  /** The configuration in force; no secrets. */
  configDump(): unknown;
  series(): Iterable<RequestSeries>;
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
}

export class AdminServer {
  private readonly server: http.Server;

  constructor(source: AdminSource) {
    this.server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => answer(source, request, response));
    this.server.maxConnections = 128;
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
    this.server.close();
    this.server.closeAllConnections();
  }
}

function answer(source: AdminSource, request: http.IncomingMessage, response: http.ServerResponse): void {
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(body);
  };
  const text = 'text/plain; charset=utf-8';
  const path = (request.url ?? '/').split('?')[0];
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, text, 'only GET\n');
  if (path === '/livez') return send(200, text, 'ok\n');
  if (path === '/readyz' || path === '/healthz') {
    const missing = source.notReady();
    return missing === '' ? send(200, text, 'ok\n') : send(503, text, `${missing}\n`);
  }
  if (path === '/metrics') return send(200, 'text/plain; version=0.0.4; charset=utf-8', source.metrics());
  if (isLoopback(request.socket.remoteAddress ?? '')) {
    if (path === '/stats') return send(200, 'application/json', JSON.stringify({ series: [...source.series()].map(statsOf) }));
    if (path === '/config_dump') return send(200, 'application/json', `${JSON.stringify(source.configDump(), plain, 2)}\n`);
  }
  return send(404, text, 'no such page\n');
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}

function plain(name: string, value: unknown): unknown {
  if (name === '$typeName' || name === '$unknown') return undefined;
  return typeof value === 'bigint' ? `${value}` : value;
}

function statsOf({ key, statuses, latency, inFlight }: RequestSeries): StatsSeries {
  const byStatus: Record<string, number> = {};
  statuses.forEach((count, status) => {
    if (count > 0) byStatus[status] = count;
  });
  const { direction, caller, service, route, rule, method, backend, mtls } = key;
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
  };
}
