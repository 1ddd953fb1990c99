// A load with what real calls carry, as a program of its own: a client that is nobody's special tool (node:http2) sends
// headers of which some are new in each call. Reads its order as JSON from the command line and prints its result as
// JSON.
import { randomBytes, randomUUID } from 'node:crypto';
import http2 from 'node:http2';
import { argv, stdout } from 'node:process';

/**
 * `realistic`: all of requestHeaders(). `1000 users`: a bearer token of one of a thousand users, and nothing else that
 * varies.
 */
export type HeaderKind = 'realistic' | '1000 users';

export interface Order {
  readonly url: string;
  readonly path: string;
  readonly connections: number;
  /** Streams at once on each connection. */
  readonly streams: number;
  readonly requests: number;
  readonly headers: HeaderKind;
  /** The request's body, base64. */
  readonly body: string;
}

export interface Report {
  readonly seconds: number;
  /** Of each request, in ms. */
  readonly latenciesMs: readonly number[];
  /** Requests that did not end with 200 and grpc-status 0. */
  readonly errors: number;
}

const USERS = 1000;
const USER_IDS = 10_000;
/** Octets of a signed token with a handful of claims, in base64. */
const TOKEN_OCTETS = 445;

const tokens = Array.from({ length: USERS }, () => `Bearer ${randomBytes(TOKEN_OCTETS).toString('base64url')}`);

function pick(below: number): number {
  return Math.floor(Math.random() * below);
}

function requestHeaders({ path, headers }: Order): http2.OutgoingHttpHeaders {
  const stable = {
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'grpc-node-js/1.14.7',
    authorization: tokens[pick(USERS)],
  };
  if (headers === '1000 users') return stable;
  const trace = randomBytes(24).toString('hex');
  return {
    ...stable,
    'x-user-id': `user-${pick(USER_IDS)}`,
    'x-correlation-id': randomUUID(),
    'x-request-id': randomUUID(),
    traceparent: `00-${trace.slice(0, 32)}-${trace.slice(32)}-01`,
    'grpc-timeout': `${10_000 + pick(10_000)}m`,
  };
}

async function load(order: Order): Promise<Report> {
  const body = Buffer.from(order.body, 'base64');
  const latenciesMs: number[] = [];
  let errors = 0;
  let begun = 0;
  let ended = 0;
  const sessions = Array.from({ length: order.connections }, () => http2.connect(order.url));
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const call = (session: http2.ClientHttp2Session): void => {
      if (begun === order.requests) return;
      begun++;
      const from = performance.now();
      const stream = session.request(requestHeaders(order));
      let ok = false;
      let status = 0;
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('trailers', (trailers) => {
        ok = status === 200 && trailers['grpc-status'] === '0';
      });
      stream.on('error', () => {});
      stream.on('close', () => {
        latenciesMs.push(performance.now() - from);
        if (!ok) errors++;
        if (++ended === order.requests) resolve();
        else call(session);
      });
      stream.resume();
      stream.end(body);
    };
    for (const session of sessions) {
      session.on('error', () => {});
      for (let i = 0; i < order.streams; i++) call(session);
    }
  });
  const seconds = (performance.now() - startedAt) / 1000;
  for (const session of sessions) session.destroy();
  return { seconds, latenciesMs, errors };
}

if (import.meta.main) stdout.write(JSON.stringify(await load(JSON.parse(argv[2]) as Order)));
