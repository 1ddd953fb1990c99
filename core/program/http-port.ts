// The small HTTP port of a program: its probes, its metrics and a few pages that are read, with bounds on time and
// octets.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import type { Exposition } from './exposition.ts';
import { MetricsPage } from './metrics-page.ts';

/** An answer. */
export interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface HttpPortOptions {
  /** '': all addresses there are. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Bounds the server's connections: shedGreediest of connection-bounds.ts. */
  readonly bound: (server: Server) => void;
  /** What is missing; or it is ready, with notes for people, a line each. Only callers on loopback read the words. */
  readonly ready: () => { readonly missing: string } | { readonly notes: readonly string[] };
  /** Puts what is counted on a page. */
  readonly metrics: (out: Exposition) => void;
  /**
   * Pages other than /livez, /readyz and /metrics, asked with GET or HEAD; absent, or null for a path: there is none.
   */
  readonly page?: (path: string, request: IncomingMessage) => Page | null;
  /** Of each answer but that of /metrics. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpPort {
  readonly port: number;
  /** Ends all connections. */
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5000;
const KEEP_ALIVE_MS = 5000;
const LARGEST_HEADER = 8192;

const TEXT = 'text/plain; charset=utf-8';
const ONLY_GET: Page = { status: 405, type: TEXT, body: 'only GET\n' };
const NOT_FOUND: Page = { status: 404, type: TEXT, body: 'not found\n' };
const ALIVE: Page = { status: 200, type: TEXT, body: 'ok\n' };

/**
 * Serves /livez, /readyz, /metrics and the program's own pages.
 * @throws the system's error when the address is taken
 */
export async function openHttpPort(options: HttpPortOptions): Promise<HttpPort> {
  // An import would read every property of the module, among them getters that load undici: 2 MB of each process (Node
  // 24).
  const { createServer } = process.getBuiltinModule('node:http');
  const metrics = new MetricsPage(options.metrics);
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: LARGEST_HEADER,
    },
    (request, response) => {
      const path = (request.url ?? '').split('?')[0];
      if (request.method !== 'GET' && request.method !== 'HEAD') send(request, response, ONLY_GET, options.headers);
      else if (path === '/metrics') metrics.answer(request, response);
      else send(request, response, pageOf(path, request, options), options.headers);
    },
  );
  options.bound(server);
  const port = await listenOn(server, options.host, options.port);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A value as a page of JSON. */
export function jsonPage(value: unknown): Page {
  return { status: 200, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

/**
 * Makes a server listen.
 * @param host '': all addresses
 * @returns the port, also where 0 was asked for
 * @throws the system's error when the address is taken
 */
export async function listenOn(server: NetServer, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host !== '' && { host }) }, () => {
      server.off('error', reject);
      // It reports single connections that could not be taken, such as for want of file descriptors.
      server.on('error', () => {});
      resolve();
    });
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Whether an address is of this machine's own loopback, as IPv4, IPv6 or IPv4 in IPv6. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/.test(address);
}

function pageOf(path: string, request: IncomingMessage, { ready, page }: HttpPortOptions): Page {
  if (path === '/livez') return ALIVE;
  if (path !== '/readyz') return page?.(path, request) ?? NOT_FOUND;
  const verdict = ready();
  // What is missing names objects and errors of the cluster. The kubelet reads the status alone.
  const tell = isLoopback(request.socket.remoteAddress);
  if ('missing' in verdict) return { status: 503, type: TEXT, body: tell ? `${verdict.missing}\n` : 'not ready\n' };
  return { status: 200, type: TEXT, body: tell ? `${['ok', ...verdict.notes].join('\n')}\n` : 'ok\n' };
}

function send(request: IncomingMessage, response: ServerResponse, page: Page, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(page.status, {
    'content-type': page.type,
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : page.body);
}
