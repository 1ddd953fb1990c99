// One unary gRPC call by node:http2: everything that came back, errors included, as data.
import http2 from 'node:http2';

const DEFAULT_PATH = '/proto.EchoTestService/Echo';
const EMPTY_MESSAGE = Buffer.alloc(5);

/** Connections by address; a closed one is replaced at its next use. */
export class Sessions {
  #open = new Map();

  /** @param to host:port */
  to(to, tls = false) {
    const url = `${tls ? 'https' : 'http'}://${to}`;
    const open = this.#open.get(url);
    if (open !== undefined && !open.closed && !open.destroyed) return open;
    const session = connect(url);
    this.#open.set(url, session);
    return session;
  }

  close() {
    for (const session of this.#open.values()) session.destroy();
    this.#open.clear();
  }
}

function connect(url) {
  const session = http2.connect(url, { rejectUnauthorized: false });
  session.on('error', () => session.destroy());
  return session;
}

/** One kept connection of its own that is replaced when it goes. */
export class Kept {
  #url;
  #session;
  /** How often it had to be made. */
  made = 0;

  constructor(to) {
    this.#url = `http://${to}`;
  }

  get session() {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(this.#url);
      this.made++;
    }
    return this.#session;
  }

  close() {
    this.#session?.destroy();
  }
}

/**
 * Resolves always: { grpcStatus, message, httpStatus, headers, trailers, hostname, seen } or { error }. `seen` are the
 * echo server's request headers.
 */
export function grpcCall(session, { path = DEFAULT_PATH, headers = [], authority, timeoutMs = 5000, body }) {
  return new Promise((resolve) => {
    let answer = { httpStatus: 0, headers: {}, trailers: {} };
    const chunks = [];
    let settled = false;
    const finish = (result) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      resolve(result);
    };
    let stream;
    const timer = setTimeout(() => {
      finish({ error: 'timeout' });
      stream?.close(http2.constants.NGHTTP2_CANCEL);
    }, timeoutMs);
    try {
      stream = session.request(requestHeaders(path, headers, authority));
    } catch (error) {
      finish({ error: error.code ?? error.message });
      return;
    }
    stream.on('response', (got) => {
      answer.httpStatus = got[':status'];
      answer.headers = plain(got);
    });
    stream.on('trailers', (got) => {
      answer.trailers = plain(got);
    });
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('error', (error) => finish({ error: error.cause?.code ?? error.code ?? error.message, reset: stream.rstCode }));
    stream.on('close', () => {
      const status = answer.trailers['grpc-status'] ?? answer.headers['grpc-status'];
      const message = answer.trailers['grpc-message'] ?? answer.headers['grpc-message'] ?? '';
      const text = Buffer.concat(chunks).toString('utf8');
      answer = { ...answer, ...echoed(text), grpcStatus: status === undefined ? -1 : Number(status), message: decodeURIComponent(message) };
      if (answer.httpStatus === 0) finish({ error: `closed without an answer, code ${stream.rstCode}` });
      else finish(answer);
    });
    stream.end(body === undefined ? EMPTY_MESSAGE : framed(Buffer.from(body, 'base64')));
  });
}

function requestHeaders(path, headers, authority) {
  const result = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  if (authority !== undefined) result[':authority'] = authority;
  for (const [name, value] of headers) result[name] = name in result ? [result[name], value].flat() : value;
  return result;
}

function framed(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function plain(headers) {
  return Object.fromEntries(Object.entries(headers));
}

/** What the echo server of the conformance suite wrote into its message. */
function echoed(text) {
  const seen = {};
  let hostname;
  for (const line of text.split('\n')) {
    const header = /RequestHeader=(:?[^:]+):(.*)$/.exec(line);
    if (header !== null) seen[header[1].toLowerCase()] = [...(seen[header[1].toLowerCase()] ?? []), header[2]];
    hostname = /(?:^|[^A-Za-z])Hostname=(\S+)/.exec(line)?.[1] ?? hostname;
  }
  return { hostname, seen };
}

/** `echo-v1` of `echo-v1-5d4c8-x2x2x`: the Deployment of a pod. */
export function deploymentOf(hostname) {
  return hostname?.replace(/-[a-z0-9]+-[a-z0-9]+$/, '') ?? 'nobody';
}
