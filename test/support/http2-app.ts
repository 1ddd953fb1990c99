// An application that speaks plain HTTP over HTTP/2 and says what it was asked, and a client of such.
import { once } from 'node:events';
import http2 from 'node:http2';

/** A request as the application saw it. */
export interface SeenHttp2Request {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
}

export interface Http2App {
  readonly name: string;
  readonly seen: SeenHttp2Request[];
  /** What it answers; null: nothing, ever. Default: status 200. */
  answer: (request: SeenHttp2Request) => http2.OutgoingHttpHeaders | null;
  close(): void;
}

export async function startHttp2App(name: string, at: { host: string; port: number }): Promise<Http2App> {
  const server = http2.createServer();
  const app: Http2App = { name, seen: [], answer: () => ({ ':status': 200 }), close: () => server.close() };
  server.on('sessionError', () => {});
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {});
    const body = await textOf(stream).catch(() => '');
    const [method, path, authority] = [headers[':method'] ?? '', headers[':path'] ?? '', headers[':authority'] ?? ''];
    const request: SeenHttp2Request = { method, path, authority, headers, body };
    app.seen.push(request);
    const answer = app.answer(request);
    if (answer === null || stream.destroyed) return;
    stream.respond({ 'x-app': name, ...answer });
    stream.end(name);
  });
  server.listen(at.port, at.host);
  await once(server, 'listening');
  return app;
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
}

export class Http2Caller {
  private readonly session: http2.ClientHttp2Session;

  constructor(at: { host: string; port: number }) {
    this.session = http2.connect(`http://${at.host}:${at.port}`);
    this.session.on('error', () => {});
  }

  async ask(path: string, headers: http2.OutgoingHttpHeaders = {}, body = ''): Promise<Http2Answer> {
    const stream = this.session.request({ ':path': path, ':authority': 'echo', ...headers }, { endStream: body === '' });
    const answered = once(stream, 'response');
    if (body !== '') stream.end(body);
    const [received] = (await answered) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
    return { status: received[':status'] ?? 0, headers: received, body: await textOf(stream) };
  }

  close(): void {
    this.session.destroy();
  }
}

async function textOf(stream: http2.Http2Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
