// A load with what real calls carry, as a program of its own: headers of which some are new in each call. Reads its
// order as JSON from the command line and prints its result as JSON.
import { randomBytes, randomUUID } from 'node:crypto';
import { argv, stdout } from 'node:process';
import type { Header } from './header-block.ts';
import { type Calls, RawCalls } from './raw-calls.ts';

/**
 * `realistic`: all of requestHeaders(). `1000 users`: a bearer token of one of a thousand users, and nothing else that
 * varies.
 */
export type HeaderKind = 'realistic' | '1000 users';

export interface Order {
  readonly host: string;
  readonly port: number;
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
  /** Requests that were not answered with status 200, a body and trailers. */
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

/** A client's call, in the order of grpc-js. */
function requestHeaders({ host, port, path, headers }: Order): readonly Header[] {
  const stable: Header[] = [
    [':method', 'POST'],
    [':path', path],
    [':scheme', 'http'],
    [':authority', `${host}:${port}`],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ['user-agent', 'grpc-node-js/1.14.7'],
    ['authorization', tokens[pick(USERS)]],
  ];
  if (headers === '1000 users') return stable;
  const trace = randomBytes(24).toString('hex');
  return [
    ...stable,
    ['x-user-id', `user-${pick(USER_IDS)}`],
    ['x-correlation-id', randomUUID()],
    ['x-request-id', randomUUID()],
    ['traceparent', `00-${trace.slice(0, 32)}-${trace.slice(32)}-01`],
    ['grpc-timeout', `${10_000 + pick(10_000)}m`],
  ];
}

async function load(order: Order): Promise<Report> {
  const body = Buffer.from(order.body, 'base64');
  const latenciesMs: number[] = [];
  let errors = 0;
  let begun = 0;
  let connections: RawCalls[] = [];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const calls: Calls = {
      next: () => (begun++ < order.requests ? requestHeaders(order) : null),
      ended: (ms, ok) => {
        latenciesMs.push(ms);
        if (!ok) errors++;
        if (latenciesMs.length === order.requests) resolve();
      },
    };
    connections = Array.from({ length: order.connections }, () => new RawCalls(order.host, order.port, order.streams, body, calls));
  });
  const seconds = (performance.now() - startedAt) / 1000;
  for (const connection of connections) connection.stop();
  return { seconds, latenciesMs, errors };
}

if (import.meta.main) stdout.write(JSON.stringify(await load(JSON.parse(argv[2]) as Order)));
