// An application and a client on bare HTTP/2: header fields as they arrive, in order, repeated ones apart. grpc-js
// would join them.
import { once } from 'node:events';
import http2 from 'node:http2';

/** [name, value] in the order of arrival, without pseudo-headers. */
export type Fields = [name: string, value: string][];

export interface RawApp {
  /** Fields of the newest request. */
  request: Fields;
  /** What it answers besides what gRPC asks for. */
  answer: http2.OutgoingHttpHeaders;
  /** How its calls end; '0' at first. */
  grpcStatus: string;
  close(): void;
}

/** A server that answers every call without messages, in headers and trailers. */
export async function startRawApp(at: { host: string; port: number }): Promise<RawApp> {
  const server = http2.createServer();
  const app: RawApp = { request: [], answer: {}, grpcStatus: '0', close: () => server.close() };
  server.on('sessionError', () => {});
  server.on('stream', (stream, _headers, _flags, raw) => {
    app.request = fieldsOf(raw);
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...app.answer }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': app.grpcStatus }));
    stream.resume();
    stream.end();
  });
  server.listen(at.port, at.host);
  await once(server, 'listening');
  return app;
}

export class RawCaller {
  private readonly session: http2.ClientHttp2Session;

  constructor(at: { host: string; port: number }) {
    this.session = http2.connect(`http://${at.host}:${at.port}`, { maxSendHeaderBlockLength: 1024 * 1024 });
    this.session.on('error', () => {});
  }

  /**
   * One call without a message.
   * @returns the fields of the response's headers, and its gRPC status wherever that came
   */
  async call(headers: http2.OutgoingHttpHeaders, path = '/test.Echo/Unary'): Promise<{ response: Fields; grpcStatus: string }> {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let response: Fields = [];
    let grpcStatus = '';
    stream.on('response', (received, _flags, raw) => {
      response = fieldsOf(raw);
      grpcStatus = String(received['grpc-status'] ?? '');
    });
    stream.on('trailers', (received) => {
      grpcStatus = String(received['grpc-status'] ?? '');
    });
    stream.resume();
    stream.end();
    await once(stream, 'close');
    return { response, grpcStatus };
  }

  close(): void {
    this.session.destroy();
  }
}

/** The values of a field, one entry for each time it stands in the list. */
export function valuesOf(fields: Fields, name: string): string[] {
  return fields.filter(([candidate]) => candidate === name).map(([, value]) => value);
}

function fieldsOf(raw: readonly string[]): Fields {
  const fields: Fields = [];
  for (let i = 0; i < raw.length; i += 2) if (!raw[i].startsWith(':')) fields.push([raw[i], raw[i + 1]]);
  return fields;
}
