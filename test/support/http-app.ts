// An application on Node's own HTTP/1.1 server: it answers with what it saw of a request, and echoes what a switched
// connection carries.
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';

/** What a request was, as the application saw it. */
export interface SeenRequest {
  readonly pod: string;
  readonly method: string;
  readonly url: string;
  readonly version: string;
  /** name, value, name, … as they came. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

export interface HttpApp {
  readonly seen: SeenRequest[];
  close(): void;
}

export async function startHttpApp(pod: string, at: { host: string; port: number }): Promise<HttpApp> {
  const seen: SeenRequest[] = [];
  const sockets = new Set<net.Socket>();
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const { method = '', url = '', httpVersion: version, rawHeaders: headers, rawTrailers: trailers } = request;
      const what: SeenRequest = { pod, method, url, version, headers, body, trailers };
      seen.push(what);
      response.setHeader('Content-Type', 'application/json');
      if (url.startsWith('/chunked')) response.setHeader('Trailer', 'X-Sum');
      response.statusCode = Number(/status=(\d+)/.exec(url)?.[1] ?? 200);
      if (url.startsWith('/chunked')) {
        response.write(JSON.stringify(what));
        response.addTrailers({ 'X-Sum': `${body.length}` });
        response.end();
      } else response.end(response.statusCode === 204 ? '' : JSON.stringify(what));
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket: net.Socket) => {
    seen.push({
      pod,
      method: request.method!,
      url: request.url!,
      version: request.httpVersion,
      headers: request.rawHeaders,
      body: '',
      trailers: [],
    });
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n');
    socket.on('data', (octets: Buffer) => socket.write(octets));
    socket.on('end', () => socket.end());
  });
  server.listen(at.port, at.host);
  await once(server, 'listening');
  return {
    seen,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
