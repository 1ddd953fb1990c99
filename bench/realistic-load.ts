// A load with what real calls carry, as a program of its own: headers of which some are new in each call. Reads its
// order as JSON from the command line and prints its result as JSON.
import { randomBytes, randomUUID } from 'node:crypto';
import { argv, stdout } from 'node:process';
import type { Header } from './header-block.ts';
import { type Calls, RawCalls } from './raw-calls.ts';
import { RawRequests } from './raw-requests.ts';

/**
 * `realistic`: all of callHeaders() or browserHeaders(). `1000 users`: a bearer token of one of a thousand users, and nothing else that
 * varies.
 */
export type HeaderKind = 'realistic' | '1000 users';

export interface Order {
  readonly protocol: 'grpc' | 'http1';
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  /** Streams at once on each connection; HTTP/1.1 has one. */
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
function callHeaders({ host, port, path, headers }: Order): readonly Header[] {
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

const BROWSERS = [
  ['"Chromium";v="140", "Google Chrome";v="140", "Not?A_Brand";v="24"', '"Windows"', 'Windows NT 10.0; Win64; x64'],
  ['"Chromium";v="141", "Google Chrome";v="141", "Not?A_Brand";v="8"', '"macOS"', 'Macintosh; Intel Mac OS X 10_15_7'],
  ['"Chromium";v="140", "Microsoft Edge";v="140", "Not?A_Brand";v="24"', '"Windows"', 'Windows NT 10.0; Win64; x64'],
  ['"Chromium";v="141", "Google Chrome";v="141", "Not?A_Brand";v="8"', '"Linux"', 'X11; Linux x86_64'],
];
const LANGUAGES = ['en-US,en;q=0.9', 'de-DE,de;q=0.9,en;q=0.8', 'fr-FR,fr;q=0.9,en;q=0.7', 'ja,en-US;q=0.9,en;q=0.8'];
const sessions = Array.from({ length: USERS }, () => randomBytes(32).toString('base64url'));

/** A browser's request to an application's API, in the order of Chrome, behind an ingress that adds ids. */
function browserHeaders({ host, port, path }: Order): readonly Header[] {
  const user = pick(USERS);
  const [brands, platform, system] = BROWSERS[user % BROWSERS.length];
  const trace = randomBytes(24).toString('hex');
  return [
    [':method', 'GET'],
    [':path', `${path}/${pick(USER_IDS)}?page=${pick(20)}&q=${randomBytes(4).toString('hex')}`],
    ['Host', `${host}:${port}`],
    ['Connection', 'keep-alive'],
    ['sec-ch-ua-platform', platform],
    ['Authorization', tokens[user]],
    ['User-Agent', `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36`],
    ['Accept', 'application/json, text/plain, */*'],
    ['sec-ch-ua', brands],
    ['sec-ch-ua-mobile', '?0'],
    ['Sec-Fetch-Site', 'same-origin'],
    ['Sec-Fetch-Mode', 'cors'],
    ['Sec-Fetch-Dest', 'empty'],
    ['Referer', `https://shop.example/catalog/${pick(USER_IDS)}`],
    ['Accept-Encoding', 'gzip, deflate, br, zstd'],
    ['Accept-Language', LANGUAGES[user % LANGUAGES.length]],
    ['Cookie', `session=${sessions[user]}; theme=dark; _ga=GA1.1.${100_000_000 + user}.1764547200; last=${Date.now()}`],
    ['x-forwarded-for', `203.0.113.${user % 256}`],
    ['x-forwarded-proto', 'https'],
    ['x-request-id', randomUUID()],
    ['traceparent', `00-${trace.slice(0, 32)}-${trace.slice(32)}-01`],
  ];
}

async function load(order: Order): Promise<Report> {
  const body = Buffer.from(order.body, 'base64');
  const latenciesMs: number[] = [];
  let errors = 0;
  let begun = 0;
  let connections: readonly { stop(): void }[] = [];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const calls: Calls = {
      next: () => (begun++ >= order.requests ? null : order.protocol === 'http1' ? browserHeaders(order) : callHeaders(order)),
      ended: (ms, ok) => {
        latenciesMs.push(ms);
        if (!ok) errors++;
        if (latenciesMs.length === order.requests) resolve();
      },
    };
    const { host, port } = order;
    connections = Array.from({ length: order.connections }, () =>
      order.protocol === 'http1' ? new RawRequests(host, port, calls) : new RawCalls(host, port, order.streams, body, calls),
    );
  });
  const seconds = (performance.now() - startedAt) / 1000;
  for (const connection of connections) connection.stop();
  return { seconds, latenciesMs, errors };
}

if (import.meta.main) stdout.write(JSON.stringify(await load(JSON.parse(argv[2]) as Order)));
