// The webhook's HTTPS server: bounds, timeouts, one route.
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { shedGreediest } from '#core/program/connection-bounds.ts';
import { listenOn } from '#core/program/http-port.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import type { Answer, ReviewSender } from './review.ts';
import { type HeldReview, ReviewBudget } from './review-budget.ts';

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
/** The same of one address: what is left is for the others. */
export const MOST_BUFFERED_OF_ONE = 24 * 1024 * 1024;
/**
 * Octets of whole reviews of one address that are parsed, so many per minute and so many at once: ten seconds of each
 * minute. 300 pods a second are less.
 */
export const PARSED_PER_MINUTE = 1024 * 1024 * 1024;
export const PARSED_BURST = 128 * 1024 * 1024;
/** An API server opens a connection per review under way. */
const MOST_CONNECTIONS = 1000;
/** Of the subject as Node writes it: one attribute a line. */
const COMMON_NAME = /^CN=(.*)$/m;
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

export interface ClientAuthentication {
  /** PEM: the authorities of client certificates. */
  readonly authorities: string;
  /** Common names, one of which the certificate must have; empty: any. */
  readonly names: readonly string[];
}

export interface WebhookServerDeps {
  /** '': all addresses there are, IPv6 only where the machine has it. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** PEM: chain and key to begin with. */
  readonly identity: { readonly cert: string; readonly key: string };
  /** What the API server's client certificate must be; absent: it shows none, and any sender is heard. */
  readonly clients?: ClientAuthentication;
  /** Unix or monotonic ms. */
  readonly now: () => number;
  /** Never rejects. */
  readonly review: (body: string, sender: ReviewSender) => Promise<Answer>;
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
  const budget = new ReviewBudget(MOST_BUFFERED_BYTES, MOST_BUFFERED_OF_ONE, settings.now);
  const parsed = new RateLimit(PARSED_PER_MINUTE, PARSED_BURST, settings.now);
  const { clients } = settings;
  const context = { minVersion: 'TLSv1.2', ...(clients && { ca: clients.authorities }) } as const;
  let stopping = false;
  const server = https.createServer(
    {
      ...settings.identity,
      ...context,
      ...(clients && { requestCert: true, rejectUnauthorized: true }),
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      handshakeTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: 16_384,
      connectionsCheckingInterval: 2000,
    },
    (request, response) => {
      if (stopping) response.shouldKeepAlive = false;
      void serve(request, response, settings, budget, parsed);
    },
  );
  shedGreediest(server, MOST_CONNECTIONS);
  // These are scanners and dropped connections: no concern of ours, and no reason to end.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const port = await listenOn(server, settings.host, settings.port);
  return {
    port,
    setIdentity: (identity) => server.setSecureContext({ ...identity, ...context }),
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
  { review, onRefused, clients }: WebhookServerDeps,
  budget: ReviewBudget,
  parsed: RateLimit,
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
  if (clients !== undefined && !isNamed(request, clients.names)) return refuse(403, 'the client certificate has another name\n');
  const address = request.socket.remoteAddress ?? '';
  let shed = (): void => {};
  const held = budget.begin(address, () => shed());
  const body = await read(request, held, (end) => {
    shed = end;
  });
  if (body === 'gone') return;
  if (body === 'too large') return refuse(413, `larger than ${LARGEST_REVIEW_BYTES} bytes\n`);
  if (body === 'too many') return refuse(503, 'too many reviews at once\n');
  if (!parsed.take(address, body.length)) {
    held.done();
    return refuse(503, 'too many reviews of this address\n');
  }
  const answer = await review(body.toString('utf8'), { address, authenticated: clients !== undefined });
  held.done();
  if (response.destroyed) return;
  response.writeHead(answer.status, { ...headersFor(answer.body), 'content-type': JSON_TYPE });
  response.end(answer.body);
}

function headersFor(body: string): Record<string, string | number> {
  return { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body), 'x-content-type-options': 'nosniff' };
}

/** Whether the verified client certificate has one of these common names. */
function isNamed(request: IncomingMessage, names: readonly string[]): boolean {
  if (names.length === 0) return true;
  const { getPeerX509Certificate } = request.socket as unknown as { getPeerX509Certificate(): X509Certificate | undefined };
  const subject = getPeerX509Certificate.call(request.socket)?.subject ?? '';
  return names.includes(COMMON_NAME.exec(subject)?.[1] ?? '');
}

type Body = Buffer | 'gone' | 'too large' | 'too many';

/**
 * The body; it counts as held until the caller says otherwise, anything else does not.
 * @param onBegun is given what ends the reading where room must be made for others
 */
function read(request: IncomingMessage, held: HeldReview, onBegun: (shed: () => void) => void): Promise<Body> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let ended = false;
    const end = (result: Body): void => {
      if (ended) return;
      ended = true;
      request.removeAllListeners('data');
      if (typeof result === 'string') {
        chunks.length = 0;
        held.done();
        request.pause();
      }
      resolve(result);
    };
    onBegun(() => end('too many'));
    if (Number(request.headers['content-length'] ?? '0') > LARGEST_REVIEW_BYTES) return end('too large');
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > LARGEST_REVIEW_BYTES) return end('too large');
      if (!held.grow(chunk.length)) return end('too many');
      chunks.push(chunk);
    });
    request.once('end', () => {
      if (ended) return;
      held.read();
      end(Buffer.concat(chunks));
    });
    request.once('close', () => end('gone'));
  });
}
