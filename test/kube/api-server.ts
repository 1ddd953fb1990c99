// An API server's wire for tests: a real HTTPS server with a store, versions, pages, watches and conflicts; each
// request can be given another end.

import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Timers } from '#core/program/timers.ts';
import { HttpKubeClient } from '#kube/http-client.ts';
import { craft, craftAuthority } from '../support/craft-certificate.ts';

export interface Stored {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; resourceVersion?: string; [other: string]: unknown };
  [other: string]: unknown;
}

interface Change {
  readonly version: number;
  readonly type: string;
  readonly collection: string;
  readonly object: Stored;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers instead of the store. @returns false: the store answers after all */
export type Fault = (seen: Seen, response: ServerResponse) => boolean;

const NAMED = /^(\/apis?\/.*?\/(?:pods|services|leases|events|grpcroutes))(?:\/([^/]+))?$/;

export class TestApiServer {
  readonly seen: Seen[] = [];
  /** Asked for each request, the first that takes it answers. */
  readonly faults: Fault[] = [];
  /** Versions below are compacted. */
  oldest = 0;
  version = 100;
  readonly ca: string;
  private readonly objects = new Map<string, Stored>();
  private readonly changes: Change[] = [];
  private readonly watchers = new Set<{ collection: string; response: ServerResponse }>();
  private readonly sockets = new Set<Duplex>();
  private readonly pages = new Map<string, { items: Stored[]; version: number }>();
  private readonly server: https.Server;
  private port = 0;

  private constructor(ca: string, cert: string, key: string) {
    this.ca = ca;
    this.server = https.createServer({ cert, key }, (request, response) => void this.handle(request, response));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  static async start(): Promise<TestApiServer> {
    const authority = await craftAuthority();
    const leaf = await craft(authority, { uris: [], dns: ['localhost'], sanCritical: false, subject: 'CN=api' });
    const server = new TestApiServer(authority.pem, leaf.pem, leaf.keyPem);
    await server.listen();
    return server;
  }

  /** Listens, again on the same port after close(). */
  listen(): Promise<void> {
    return new Promise((resolve) => {
      this.server.listen(this.port, '127.0.0.1', () => {
        this.port = (this.server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  /** Stops listening and cuts every connection. */
  close(): void {
    this.server.close();
    this.cut();
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  client(port = this.port): HttpKubeClient {
    const current = async () => ({ headers: { authorization: 'Bearer t' }, tls: { ca: this.ca, servername: 'localhost' } });
    return new HttpKubeClient({ server: `https://127.0.0.1:${port}`, current });
  }

  /** Creates or replaces, and notifies the watchers. `collection` is a path: /api/v1/pods. */
  put(collection: string, name: string, more: Record<string, unknown> = {}, silently = false): Stored {
    const id = `${collection}/${name}`;
    const type = this.objects.has(id) ? 'MODIFIED' : 'ADDED';
    const metadata = { ...(more.metadata as object | undefined), name, resourceVersion: String(++this.version) };
    const object: Stored = { ...more, metadata };
    this.objects.set(id, object);
    if (!silently) this.notify({ version: this.version, type, collection, object });
    return object;
  }

  delete(collection: string, name: string): void {
    const id = `${collection}/${name}`;
    const object = this.objects.get(id)!;
    this.objects.delete(id);
    object.metadata.resourceVersion = String(++this.version);
    this.notify({ version: this.version, type: 'DELETED', collection, object });
  }

  object(collection: string, name: string): Stored | undefined {
    return this.objects.get(`${collection}/${name}`);
  }

  get watching(): number {
    return this.watchers.size;
  }

  /** Writes a raw line to every watcher. */
  line(text: string): void {
    for (const { response } of this.watchers) response.write(text);
  }

  /** Ends every watch in good order, as its time limit does. */
  endWatches(): void {
    for (const { response } of this.watchers) response.end();
  }

  /** Forgets the past: watches from older versions get 410. */
  compact(): void {
    this.oldest = this.version;
    this.pages.clear();
  }

  requests(filter: (seen: Seen) => boolean): Seen[] {
    return this.seen.filter(filter);
  }

  private notify(change: Change): void {
    this.changes.push(change);
    for (const { collection, response } of this.watchers)
      if (collection === change.collection) response.write(`${JSON.stringify({ type: change.type, object: change.object })}\n`);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'https://x');
    let body = '';
    for await (const chunk of request) body += chunk;
    const seen: Seen = { method: request.method!, path: url.pathname, query: url.searchParams, headers: request.headers, body };
    this.seen.push(seen);
    if (this.faults.some((fault) => fault(seen, response))) return;
    const [, collection, name] = NAMED.exec(url.pathname) ?? [];
    if (collection === undefined) return refuse(response, 404, 'NotFound', 'the server could not find the requested resource');
    if (seen.query.has('watch')) return this.watch(collection, seen, response);
    if (seen.method === 'GET' && name === undefined) return this.list(collection, seen, response);
    this.one(collection, name, seen, response);
  }

  private list(collection: string, seen: Seen, response: ServerResponse): void {
    const token = seen.query.get('continue');
    const limit = Number(seen.query.get('limit') ?? Number.POSITIVE_INFINITY);
    const page = token === null ? { items: this.all(collection), version: this.version } : this.pages.get(token);
    if (page === undefined) return refuse(response, 410, 'Expired', 'The provided continue parameter is too old');
    const rest = page.items.slice(limit);
    const next = rest.length === 0 ? '' : `page-${this.pages.size}`;
    if (next !== '') this.pages.set(next, { items: rest, version: page.version });
    // As on the real wire: items of a list have neither kind nor apiVersion.
    const items = page.items.slice(0, limit).map(({ apiVersion: _a, kind: _k, ...object }) => object);
    reply(response, 200, { apiVersion: 'v1', kind: 'PodList', metadata: { resourceVersion: String(page.version), continue: next }, items });
  }

  private all(collection: string): Stored[] {
    return [...this.objects].filter(([id]) => id.startsWith(`${collection}/`)).map(([, object]) => object);
  }

  private watch(collection: string, seen: Seen, response: ServerResponse): void {
    const from = Number(seen.query.get('resourceVersion'));
    if (from < this.oldest) {
      response.writeHead(200, { 'content-type': 'application/json' });
      const status = { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` };
      response.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watcher = { collection, response };
    this.watchers.add(watcher);
    response.on('close', () => this.watchers.delete(watcher));
    for (const change of this.changes)
      if (change.version > from && change.collection === collection)
        response.write(`${JSON.stringify({ type: change.type, object: change.object })}\n`);
  }

  private one(collection: string, name: string | undefined, { method, body }: Seen, response: ServerResponse): void {
    const given = body === '' ? undefined : (JSON.parse(body) as Stored);
    const key = name ?? given!.metadata.name;
    const had = this.object(collection, key);
    if (method === 'POST') {
      if (had !== undefined) return refuse(response, 409, 'AlreadyExists', `${key} already exists`);
      return reply(response, 201, this.put(collection, key, given));
    }
    if (had === undefined) return refuse(response, 404, 'NotFound', `"${key}" not found`);
    if (method === 'GET') return reply(response, 200, had);
    if (method === 'PATCH') return reply(response, 200, this.put(collection, key, { ...had, ...given }));
    const version = given!.metadata.resourceVersion;
    if (version !== undefined && version !== had.metadata.resourceVersion)
      return refuse(response, 409, 'Conflict', 'the object has been modified');
    reply(response, 200, this.put(collection, key, given));
  }
}

/** Answers with a metav1.Status. */
export function refuse(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  reply(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, headers);
}

export function reply(response: ServerResponse, code: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** Timers that do not wait, but remember for how long they were asked to. */
export class HastyTimers implements Timers {
  readonly asked: number[] = [];
  aheadMs = 0;

  now(): number {
    return Date.now() + this.aheadMs;
  }

  after(ms: number, then: () => void): () => void {
    this.asked.push(ms);
    const timer = setTimeout(then, Math.min(ms, 5));
    return () => clearTimeout(timer);
  }
}
