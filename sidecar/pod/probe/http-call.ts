// One HTTP request to the application of our own pod, as the kubelet's client makes it: HTTP/1.1, or over TLS what the
// server chooses of HTTP/2 and HTTP/1.1 (Go's net/http, which offers both by ALPN).
import type http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';

/** As with the kubelet, so many octets of a body must arrive and the rest does not matter. */
const LONGEST_BODY = 10 * 1024;
/** Of an answer's header, as Go's client has it (http.Transport.MaxResponseHeaderBytes: 10 MiB). */
const LONGEST_HEADER = 10 * 2 ** 20;
/** Header fields of an answer over HTTP/2; Node's default is 128. */
const MOST_FIELDS = 65_536;
/** Fields of a connection, which HTTP/2 has none of (RFC 9113 §8.2.2). */
const OF_CONNECTION = ['connection', 'host', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

/** What one request was answered; `location` only where the kubelet would go on to it. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly location: string;
}

/**
 * Asks once; redirects are the caller's to follow. Rejects with the system's error or why there is no answer.
 * @param headers names and values in turn, the first being Host
 * @param cancellable gets what ends the request
 */
export async function askHttp(url: URL, headers: string[], cancellable: (cancel: (why: string) => void) => void): Promise<HttpAnswer> {
  if (url.protocol !== 'https:') return askHttp1(url, headers, cancellable);
  const socket = await connectTls(url, cancellable);
  return socket.alpnProtocol === 'h2' ? askHttp2(url, headers, socket, cancellable) : askHttp1(url, headers, cancellable, socket);
}

function connectTls(url: URL, cancellable: (cancel: (why: string) => void) => void): Promise<tls.TLSSocket> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host,
      port: Number(url.port || 443),
      // Any certificate will do, and it is asked for by name only where there is one.
      rejectUnauthorized: false,
      servername: net.isIP(host) === 0 ? host : '',
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const onClose = (): void => reject(new Error('closed during the handshake'));
    cancellable((why) => socket.destroy(new Error(why)));
    socket.once('error', reject);
    socket.once('close', onClose);
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      socket.off('close', onClose);
      resolve(socket);
    });
  });
}

function askHttp1(
  url: URL,
  headers: string[],
  cancellable: (cancel: (why: string) => void) => void,
  socket?: tls.TLSSocket,
): Promise<HttpAnswer> {
  const { request } = process.getBuiltinModule('node:http');
  return new Promise((resolve, reject) => {
    const asked = request({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port || 80,
      path: `${url.pathname}${url.search}`,
      headers,
      maxHeaderSize: LONGEST_HEADER,
      // Go's parser forgives more than Node's does by default; the application must not fail here what it passed there.
      insecureHTTPParser: true,
      // An agent would make a connection of its own.
      ...(socket === undefined ? { agent: false } : { createConnection: () => socket }),
    });
    cancellable((why) => asked.destroy(new Error(why)));
    asked.on('error', reject);
    asked.on('response', (response: http.IncomingMessage) => {
      const status = response.statusCode ?? 0;
      const body = new Body((text) => {
        resolve({ status, location: redirectOf(status, response.headers.location), body: text });
        response.destroy();
      });
      response.on('data', (chunk: Buffer) => body.add(chunk));
      response.on('end', () => body.end());
      response.on('error', reject);
      response.on('aborted', () => reject(new Error('the answer ended early')));
    });
    asked.end();
  });
}

function askHttp2(
  url: URL,
  headers: string[],
  socket: tls.TLSSocket,
  cancellable: (cancel: (why: string) => void) => void,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(url.origin, {
      createConnection: () => socket,
      maxHeaderListPairs: MOST_FIELDS,
      maxSessionMemory: 2 * Math.ceil(LONGEST_HEADER / 1e6),
      settings: { enablePush: false, maxHeaderListSize: LONGEST_HEADER },
    });
    let why = 'closed without an answer';
    const fail = (error: Error): void => {
      reject(error);
      session.destroy();
    };
    cancellable((reason) => fail(new Error(reason)));
    session.on('error', fail);
    const stream = session.request(fieldsOf(url, headers), { endStream: true });
    let status = 0;
    let location: string | undefined;
    const body = new Body((text) => {
      resolve({ status, location: redirectOf(status, location), body: text });
      session.destroy();
    });
    stream.on('response', (answer) => {
      status = answer[':status'] ?? 0;
      location = answer.location;
    });
    stream.on('data', (chunk: Buffer) => body.add(chunk));
    stream.on('end', () => (status === 0 ? fail(new Error(why)) : body.end()));
    stream.on('aborted', () => {
      why = 'the answer ended early';
    });
    stream.on('error', fail);
    stream.on('close', () => fail(new Error(why)));
  });
}

function fieldsOf(url: URL, headers: readonly string[]): http2.OutgoingHttpHeaders {
  const fields: http2.OutgoingHttpHeaders & Record<string, string | string[]> = {
    ':method': 'GET',
    ':scheme': 'https',
    ':authority': headers[1]!,
    ':path': `${url.pathname}${url.search}`,
  };
  for (let i = 2; i < headers.length; i += 2) {
    const [name, value] = [headers[i]!.toLowerCase(), headers[i + 1]!];
    if (OF_CONNECTION.includes(name) || (name === 'te' && value !== 'trailers')) continue;
    const before = fields[name];
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

/** Where a redirect goes; '': it is none. */
function redirectOf(status: number, location: string | undefined): string {
  return [301, 302, 303, 307, 308].includes(status) ? (location ?? '') : '';
}

/** A body up to what is looked at of it; `whole` is called once. */
class Body {
  private readonly chunks: Buffer[] = [];
  private length = 0;
  private done = false;
  private readonly whole: (text: string) => void;

  constructor(whole: (text: string) => void) {
    this.whole = whole;
  }

  add(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length >= LONGEST_BODY) this.end();
  }

  end(): void {
    if (this.done) return;
    this.done = true;
    this.whole(Buffer.concat(this.chunks).subarray(0, LONGEST_BODY).toString('utf8').trim());
  }
}
