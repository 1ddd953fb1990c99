// The webhook's HTTPS server: bounds, timeouts, one route.
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { shedGreediest } from '#core/program/connection-bounds.ts';
import { listenOn } from '#core/program/http-port.ts';
import type { Answer } from './review.ts';

/**
 * The API server takes objects of up to 3 MiB, and a review holds them with their surroundings; controller-runtime
 * draws the line here, too.
 */
export const LARGEST_REVIEW_BYTES = 7 * 1024 * 1024;
/**
 * All requests that are not answered yet together: what a flood may hold. As objects they take several times as much
 * (256Mi is the default limit).
 */
export const MOST_BUFFERED_BYTES = 32 * 1024 * 1024;
/** An API server opens a connection per review under way. */
const MOST_CONNECTIONS = 1000;
/** Longer than any answer is waited for: webhooks have 5 seconds here, 30 at most. */
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5000;
/**
 * Longer than the API server's 90 s: if we closed first, it might be on a review under way, which a client does not
 * send again because it is a POST.
 */
const KEEP_ALIVE_MS = 120_000;
/** Answers take milliseconds: a connection that still waits for one then is cut off. */
const CLOSE_TIMEOUT_MS = 5000;
const JSON_TYPE = 'application/json';

export interface WebhookServerDeps {
  /** '': all addresses there are, IPv6 only where the machine has it. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** PEM: chain and key to begin with. */
  readonly identity: { readonly cert: string; readonly key: string };
  /** Never rejects. */
  readonly review: (body: string) => Promise<Answer>;
  /** Called for each request that was refused unread, with its HTTP status. */
  readonly onRefused: (status: number) => void;
}

export interface WebhookServer {
  readonly port: number;
  /** Puts another certificate into force for new connections. @throws Error when certificate and key do not fit */
  setIdentity(identity: { cert: string; key: string }): void;
  /**
   * Still takes reviews, but each answer is the last of its connection: API servers make new ones, to other replicas.
   */
  beginStop(): void;
  /** Takes no more connections, and resolves when the last answer is out, or after five seconds. */
  close(): Promise<void>;
}

/** Serves POST /inject. @throws Error when the address is taken */
export async function startWebhookServer(settings: WebhookServerDeps): Promise<WebhookServer> {
  const buffered = { bytes: 0 };
  let stopping = false;
  const server = https.createServer(
    {
      ...settings.identity,
      minVersion: 'TLSv1.2',
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      handshakeTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: 16_384,
      connectionsCheckingInterval: 2000,
    },
    (request, response) => {
      if (stopping) response.shouldKeepAlive = false;
      void serve(request, response, settings, buffered);
    },
  );
  shedGreediest(server, MOST_CONNECTIONS);
  // These are scanners and dropped connections: no concern of ours, and no reason to end.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const port = await listenOn(server, settings.host, settings.port);
  return {
    port,
    setIdentity: (identity) => server.setSecureContext({ ...identity, minVersion: 'TLSv1.2' }),
    beginStop: () => {
      stopping = true;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS).unref();
      }),
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { review, onRefused }: WebhookServerDeps,
  buffered: { bytes: number },
): Promise<void> {
  const refuse = (status: number, message: string): void => {
    onRefused(status);
    // Nothing more is read of it.
    response.writeHead(status, { ...headersFor(message), connection: 'close', ...(status === 405 && { allow: 'POST' }) });
    response.end(message, () => request.destroy());
  };
  request.on('error', () => {});
  response.on('error', () => {});
  if ((request.url ?? '').split('?')[0] !== '/inject') return refuse(404, 'not found\n');
  if (request.method !== 'POST') return refuse(405, 'only POST\n');
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') return refuse(415, 'content-encoding is not understood\n');
  if (!(request.headers['content-type'] ?? '').toLowerCase().startsWith(JSON_TYPE))
    return refuse(415, `content-type must be ${JSON_TYPE}\n`);
  const body = await read(request, buffered);
  if (body === 'gone') return;
  if (body === 'too large') return refuse(413, `larger than ${LARGEST_REVIEW_BYTES} bytes\n`);
  if (body === 'too many') return refuse(503, 'too many reviews at once\n');
  const answer = await review(body.toString('utf8'));
  buffered.bytes -= body.length;
  if (response.destroyed) return;
  response.writeHead(answer.status, { ...headersFor(answer.body), 'content-type': JSON_TYPE });
  response.end(answer.body);
}

function headersFor(body: string): Record<string, string | number> {
  return { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body), 'x-content-type-options': 'nosniff' };
}

/** The body; it counts as buffered until the caller says otherwise, anything else does not. */
function read(request: IncomingMessage, buffered: { bytes: number }): Promise<Buffer | 'gone' | 'too large' | 'too many'> {
  return new Promise((resolve) => {
    if (Number(request.headers['content-length'] ?? '0') > LARGEST_REVIEW_BYTES) return resolve('too large');
    const chunks: Buffer[] = [];
    let bytes = 0;
    let ended = false;
    const end = (result: Buffer | 'gone' | 'too large' | 'too many'): void => {
      if (ended) return;
      ended = true;
      request.removeAllListeners('data');
      if (typeof result === 'string') {
        buffered.bytes -= bytes;
        request.pause();
      }
      resolve(result);
    };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      buffered.bytes += chunk.length;
      if (bytes > LARGEST_REVIEW_BYTES) return end('too large');
      if (buffered.bytes > MOST_BUFFERED_BYTES) return end('too many');
      chunks.push(chunk);
    });
    request.once('end', () => end(Buffer.concat(chunks)));
    request.once('close', () => end('gone'));
  });
}
