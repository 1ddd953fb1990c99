// JSON requests and watches to the API server over node:https, and what went wrong in words.
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { noAnswer, refusedAnswer } from './answer.ts';
import { type KubeClient, KubeError, pathOf, type RequestOptions, type ResourcePath, type WatchOptions } from './api.ts';
import type { KubeCredentials } from './credentials.ts';
import { JsonLines } from './json-lines.ts';

const DEFAULT_TIMEOUT_MS = 10_000;
/**
 * An answer is read whole; a page of 500 objects of the largest size etcd takes by default would be 750 MB, real ones
 * are 5.
 */
const MAX_RESPONSE_BYTES = 256 * 1024 * 1024;
/** Of an answer that is an error: enough for any metav1.Status. */
const MAX_ERROR_BYTES = 1024 * 1024;
/** Connections for requests; more wait their turn, within their own time limit. */
const MAX_SOCKETS = 16;
const MAX_IDLE_SOCKETS = 4;
/** A watch holds its connection; more of them than Weft ever has would be a leak. */
const MAX_WATCH_SOCKETS = 64;
/**
 * Idle connections go before the API server's own limit (90 s), so that a request rarely meets one that just closed.
 */
const IDLE_SOCKET_MS = 30_000;
/**
 * Linux then probes each second and gives up after ten: a peer that is gone is noticed within 25 s, however quiet the
 * watch.
 */
const KEEPALIVE_DELAY_MS = 15_000;

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal: AbortSignal;
  readonly agent: http.Agent;
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables and its PartialObjectMetadata. */
const METADATA_ONLY = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

export class HttpKubeClient implements KubeClient {
  readonly server: string;
  private readonly credentials: KubeCredentials;
  private readonly requests: http.Agent;
  private readonly watches: http.Agent;

  constructor(credentials: KubeCredentials) {
    this.credentials = credentials;
    this.server = credentials.server;
    const Agent = this.server.startsWith('http:') ? http.Agent : https.Agent;
    // A resumed TLS session is not checked against the server's name again, so none is kept.
    const never = { maxCachedSessions: 0 };
    this.requests = new Agent({
      ...never,
      keepAlive: true,
      maxSockets: MAX_SOCKETS,
      maxFreeSockets: MAX_IDLE_SOCKETS,
      timeout: IDLE_SOCKET_MS,
    });
    this.watches = new Agent({ ...never, keepAlive: false, maxSockets: MAX_WATCH_SOCKETS });
  }

  async request<T = Record<string, unknown>>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    where: ResourcePath | string,
    options: RequestOptions = {},
  ): Promise<T> {
    const path = typeof where === 'string' ? where : pathOf(where);
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const limit = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal]);
    const call: Call = {
      method,
      path,
      query: options.query,
      ...(options.metadataOnly === true && { accept: METADATA_ONLY }),
      signal,
      agent: this.requests,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body), contentType: contentTypeOf(method, options) }),
    };
    const what = `${method} ${this.server}${path}`;
    try {
      const response = await this.send(call);
      const status = response.statusCode!;
      const text = await readAll(response, status < 300 ? MAX_RESPONSE_BYTES : MAX_ERROR_BYTES, what);
      if (status < 200 || status > 299) throw refusedAnswer(what, status, response.headers, text);
      return parse(text, what, status) as T;
    } catch (error) {
      if (error instanceof KubeError) throw error;
      if (limit.aborted && !options.signal?.aborted) throw new KubeError(`${what}: no answer within ${timeoutMs} ms`, 0, 'Timeout');
      throw noAnswer(what, error, options.signal);
    }
  }

  async watch(where: ResourcePath, options: WatchOptions): Promise<void> {
    const path = pathOf(where);
    const what = `watch ${this.server}${path}`;
    const idle = new AbortController();
    const silence = setTimeout(() => idle.abort(), options.idleMs);
    const signal = AbortSignal.any([options.signal, idle.signal]);
    try {
      const query = { ...options.query, watch: '1' };
      const response = await this.send({ method: 'GET', path, query, signal, agent: this.watches });
      const status = response.statusCode!;
      if (status !== 200) throw refusedAnswer(what, status, response.headers, await readAll(response, MAX_ERROR_BYTES, what));
      options.onOpen?.();
      await readLines(response, what, options, silence);
    } catch (error) {
      if (options.signal.aborted) throw noAnswer(what, error, options.signal);
      if (idle.signal.aborted) throw new KubeError(`${what}: silent for ${options.idleMs} ms, the connection counts as dead`, 0, 'Idle');
      throw error instanceof KubeError ? error : noAnswer(what, error);
    } finally {
      clearTimeout(silence);
    }
  }

  // Once more where the server closed an idle connection just as the request went into it: nothing of it was read
  // there.
  private async send(call: Call): Promise<IncomingMessage> {
    const credentials = await this.credentials.current();
    const url = new URL(this.server + call.path);
    for (const [name, value] of Object.entries(call.query ?? {})) url.searchParams.set(name, value);
    const options: https.RequestOptions = {
      method: call.method,
      agent: credentials.agent ?? call.agent,
      ...credentials.tls,
      headers: {
        accept: call.accept ?? 'application/json',
        'user-agent': 'weft',
        ...credentials.headers,
        ...(call.body === undefined ? {} : { 'content-type': call.contentType, 'content-length': Buffer.byteLength(call.body) }),
      },
    };
    for (let attempt = 0; ; attempt++) {
      const sent = await exchange(url, options, call);
      if (sent.response !== undefined) return sent.response;
      const stale = sent.reused && (sent.error as NodeJS.ErrnoException).code === 'ECONNRESET' && call.method === 'GET';
      if (!stale || attempt === MAX_IDLE_SOCKETS || call.signal.aborted) throw sent.error;
    }
  }
}

interface Sent {
  readonly response?: IncomingMessage;
  readonly error?: unknown;
  readonly reused: boolean;
}

// The signal is not given to node: it destroys the request with an error, for which there is no listener where the
// response has just ended.
function exchange(url: URL, options: https.RequestOptions, { body, signal }: Call): Promise<Sent> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ error: signal.reason, reused: false });
    const request = (url.protocol === 'http:' ? http : https).request(url, options);
    let response: IncomingMessage | undefined;
    const stop = (): void => void (response ?? request).destroy();
    signal.addEventListener('abort', stop, { once: true });
    // A composite signal with a listener lives as long as its longest-lived part, and holds the listener, and so a
    // watch's buffers, as long.
    request.on('close', () => signal.removeEventListener('abort', stop));
    request.on('socket', (socket) => socket.setKeepAlive(true, KEEPALIVE_DELAY_MS));
    request.on('response', (received) => {
      response = received;
      resolve({ response, reused: request.reusedSocket });
    });
    request.on('error', (error) => resolve({ error, reused: request.reusedSocket }));
    request.end(body);
  });
}

function contentTypeOf(method: string, options: RequestOptions): string {
  return method === 'PATCH' ? PATCH_TYPES[options.patch ?? 'merge'] : 'application/json';
}

async function readAll(response: IncomingMessage, limit: number, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > limit) {
      response.destroy();
      throw new KubeError(`${what}: the answer is larger than ${limit} bytes`, response.statusCode!, 'ResponseTooLarge');
    }
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string, what: string, status: number): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KubeError(`${what}: the answer is not JSON: ${(error as Error).message}`, status, 'InvalidAnswer');
  }
}

// By listeners and not by iteration: what onEvent throws is a bug of ours, and must end the program instead of looking
// like a broken watch.
function readLines(response: IncomingMessage, what: string, options: WatchOptions, silence: NodeJS.Timeout): Promise<void> {
  return new Promise((resolve, reject) => {
    const lines = new JsonLines(what);
    let over = false;
    const end = (error?: unknown): void => {
      if (over) return;
      over = true;
      response.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    response.on('data', (chunk: Buffer) => {
      silence.refresh();
      lines.push(chunk);
      while (!over && !options.signal.aborted) {
        const next = lines.next();
        if (next === null) return;
        if (next instanceof KubeError) return end(next);
        options.onEvent(next);
      }
    });
    response.on('end', () => end(lines.atEnd()));
    response.on('error', (error) => end(error));
    response.on('close', () => end(new KubeError(`${what}: the connection was lost`, 0, 'ECONNRESET')));
  });
}
