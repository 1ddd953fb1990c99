// The applications of a test mesh: a grpc-js server that answers with its pod's name and what it received, and a client
// that calls it in every shape.
import { once } from 'node:events';
import net from 'node:net';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';

/** What a request asks for; all optional. */
export interface Question {
  /** Messages of a server stream. */
  count?: number;
  /** Wait so long before each answer. */
  delayMs?: number;
  text?: string;
  /** A unary call fails with UNKNOWN and a message of so many octets. */
  failWith?: number;
}

/** What the application answers: its pod, and what it received. */
export interface Answer {
  pod: string;
  /** "/<service>/<method>" */
  path: string;
  text: string;
  /** Request metadata as grpc-js hands it to an application. */
  metadata: Record<string, string[]>;
  /** Response metadata, on unary calls; filled in by the client. */
  headers: Record<string, string[]>;
  /** Of a client stream: how many messages came. */
  received: number;
}

const json = {
  serialize: (value: object): Buffer => Buffer.from(JSON.stringify(value)),
  deserialize: (octets: Buffer) => JSON.parse(octets.toString()),
};

export const SERVICES = ['test.Echo', 'test.Other'];
export const UNARY = '/test.Echo/Unary';

export interface GrpcApp {
  /** Calls that reached the application, by path. */
  readonly calls: Map<string, number>;
  /** Connections that were ever made to it. */
  connections: number;
  /** Calls under way. */
  inFlight: number;
  total(): number;
  /** Shuts down as a SIGTERM handler does: takes nothing new and lets calls under way end. Resolves when they have. */
  shutdown(): Promise<void>;
  /** Ends as kill -9 does: the port and all connections are gone at once. */
  kill(): void;
}

/**
 * Listens at once with prior knowledge of HTTP/2, without TLS, as an application in a pod does.
 * @param options of the server, such as an age of connections after which it says GOAWAY
 */
export async function startApp(pod: string, at: { host: string; port: number }, options: ServerOptions = {}): Promise<GrpcApp> {
  const server = new Server(options);
  const app = {
    calls: new Map<string, number>(),
    connections: 0,
    inFlight: 0,
    total: () => [...app.calls.values()].reduce((sum, count) => sum + count, 0),
    shutdown: () => {
      listener.close();
      return new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    },
    kill: () => {
      listener.close();
      for (const socket of sockets) socket.resetAndDestroy();
      server.forceShutdown();
    },
  };
  for (const service of SERVICES) register(server, service, pod, app);
  // Connections are injected, so that a kill can take the sockets away without the farewells of HTTP/2.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<net.Socket>();
  const listener = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    app.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  listener.listen(at.port, at.host);
  await once(listener, 'listening');
  return app;
}

function register(server: Server, service: string, pod: string, app: { calls: Map<string, number>; inFlight: number }): void {
  type Call = { metadata: Metadata; on(event: string, listener: () => void): unknown };
  const begin = (call: Call, path: string): Answer => {
    app.calls.set(path, (app.calls.get(path) ?? 0) + 1);
    app.inFlight++;
    return { pod, path, text: '', metadata: plain(call.metadata), headers: {}, received: 0 };
  };
  const later = (delayMs: number | undefined, then: () => void): void => {
    if (delayMs) setTimeout(then, delayMs);
    else then();
  };
  const path = (method: string) => `/${service}/${method}`;
  const answering = new Metadata();
  answering.set('x-app', 'from-the-app');
  answering.set('x-pod', pod);

  server.register(
    path('Unary'),
    (call: ServerUnaryCall<Question, Answer>, callback: sendUnaryData<Answer>) => {
      const answer = begin(call, path('Unary'));
      call.sendMetadata(answering);
      later(call.request.delayMs, () => {
        app.inFlight--;
        const { failWith, text = '' } = call.request;
        if (failWith === undefined) callback(null, { ...answer, text });
        else callback({ code: status.UNKNOWN, details: 'x'.repeat(failWith) });
      });
    },
    json.serialize,
    json.deserialize,
    'unary',
  );
  server.register(
    path('Download'),
    (call: ServerWritableStream<Question, Answer>) => {
      const answer = begin(call, path('Download'));
      const { count = 1, delayMs } = call.request;
      const next = (sent: number): void => {
        if (sent === count) {
          app.inFlight--;
          call.end();
        } else {
          call.write({ ...answer, text: call.request.text ?? `${sent}` });
          later(delayMs, () => next(sent + 1));
        }
      };
      next(0);
    },
    json.serialize,
    json.deserialize,
    'serverStream',
  );
  server.register(
    path('Upload'),
    (call: ServerReadableStream<Question, Answer>, callback: sendUnaryData<Answer>) => {
      const answer = begin(call, path('Upload'));
      call.on('data', ({ text }: Question) => {
        answer.received++;
        answer.text += text ?? '';
      });
      call.on('end', () => {
        app.inFlight--;
        callback(null, answer);
      });
      call.on('error', () => {});
    },
    json.serialize,
    json.deserialize,
    'clientStream',
  );
  server.register(
    path('Chat'),
    (call: ServerDuplexStream<Question, Answer>) => {
      const answer = begin(call, path('Chat'));
      call.on('data', ({ text, delayMs }: Question) => later(delayMs, () => call.write({ ...answer, text: text ?? '' })));
      call.on('end', () => call.end());
      call.on('close', () => app.inFlight--);
      call.on('error', () => {});
    },
    json.serialize,
    json.deserialize,
    'bidi',
  );
}

/** A call's end as the application sees it. */
export interface Outcome {
  /** gRPC status. */
  readonly code: number;
  readonly details: string;
  readonly answer: Answer | null;
}

export interface CallOptions {
  path?: string;
  metadata?: Record<string, string | string[]>;
  question?: Question;
  timeoutMs?: number;
  /** The caller gives up after so long. */
  cancelAfterMs?: number;
}

export class GrpcCaller {
  private readonly client: Client;

  /** The channel retries nothing by itself: what fails is seen. */
  constructor(at: { host: string; port: number }) {
    this.client = new Client(`${at.host}:${at.port}`, credentials.createInsecure(), {
      'grpc.enable_retries': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 100,
    });
  }

  /** Never rejects: failures are outcomes. */
  unary({ path = UNARY, metadata, question = {}, timeoutMs = 10_000, cancelAfterMs }: CallOptions = {}): Promise<Outcome> {
    return new Promise((resolve) => {
      let headers: Record<string, string[]> = {};
      const call = this.client
        .makeUnaryRequest(
          path,
          json.serialize,
          json.deserialize,
          question,
          newMetadata(metadata),
          { deadline: Date.now() + timeoutMs },
          (error: ServiceError | null, answer?: Answer) => {
            if (error !== null) resolve({ code: error.code, details: error.details, answer: null });
            else resolve({ code: status.OK, details: '', answer: { ...answer!, headers } });
          },
        )
        .on('metadata', (received) => {
          headers = plain(received);
        });
      if (cancelAfterMs !== undefined) setTimeout(() => call.cancel(), cancelAfterMs);
    });
  }

  /** All messages of a server stream. */
  async download(question: Question, metadata?: CallOptions['metadata']): Promise<Outcome & { answers: Answer[] }> {
    const call: ClientReadableStream<Answer> = this.client.makeServerStreamRequest(
      '/test.Echo/Download',
      json.serialize,
      json.deserialize,
      question,
      newMetadata(metadata),
      { deadline: Date.now() + 30_000 },
    );
    const answers: Answer[] = [];
    call.on('data', (answer: Answer) => answers.push(answer));
    return { ...(await ended(call)), answers };
  }

  /** A server stream that is not read for a while, and then to its end. */
  async pausedDownload(question: Question, pauseMs: number): Promise<Outcome> {
    const call: ClientReadableStream<Answer> = this.client.makeServerStreamRequest(
      '/test.Echo/Download',
      json.serialize,
      json.deserialize,
      question,
      newMetadata(),
      { deadline: Date.now() + 60_000 },
    );
    const end = ended(call);
    setTimeout(() => call.resume(), pauseMs);
    return end;
  }

  /** One client stream with these texts. */
  upload(texts: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const call = this.client.makeClientStreamRequest(
        '/test.Echo/Upload',
        json.serialize,
        json.deserialize,
        newMetadata(),
        { deadline: Date.now() + 10_000 },
        (error: ServiceError | null, answer?: Answer) =>
          resolve(error === null ? { code: 0, details: '', answer: answer! } : { code: error.code, details: error.details, answer: null }),
      );
      for (const text of texts) call.write({ text });
      call.end();
    });
  }

  /** A bidirectional stream that stays open. */
  chat(metadata?: CallOptions['metadata']): Chat {
    return new Chat(
      this.client.makeBidiStreamRequest('/test.Echo/Chat', json.serialize, json.deserialize, newMetadata(metadata), {
        deadline: Date.now() + 60_000,
      }),
    );
  }

  close(): void {
    this.client.close();
  }
}

export class Chat {
  /** Set when the stream has ended. */
  outcome: Outcome | null = null;
  readonly end: Promise<Outcome>;
  private readonly call: ClientDuplexStream<Question, Answer>;
  private readonly waiting: ((answer: Answer | null) => void)[] = [];

  constructor(call: ClientDuplexStream<Question, Answer>) {
    this.call = call;
    call.on('data', (answer: Answer) => this.waiting.shift()?.(answer));
    this.end = ended(call).then((outcome) => {
      this.outcome = outcome;
      for (const waiter of this.waiting.splice(0)) waiter(null);
      return outcome;
    });
  }

  /** Sends one message and waits for its answer; null: the stream has ended. */
  say(text: string): Promise<Answer | null> {
    if (this.outcome !== null) return Promise.resolve(null);
    this.call.write({ text });
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Half-closes; resolves with the stream's status. */
  finish(): Promise<Outcome> {
    this.call.end();
    return this.end;
  }
}

/** A listener on its data reads the stream to its end; its error becomes the outcome's. */
function ended(call: ClientReadableStream<Answer> | ClientDuplexStream<Question, Answer>): Promise<Outcome> {
  return new Promise((resolve) => {
    call.on('error', () => {});
    call.on('status', ({ code, details }) => resolve({ code, details, answer: null }));
  });
}

function newMetadata(values: CallOptions['metadata'] = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) for (const one of [value].flat()) metadata.add(name, one);
  return metadata;
}

function plain(metadata: Metadata): Record<string, string[]> {
  const names = Object.keys(metadata.getMap());
  return Object.fromEntries(names.map((name) => [name, metadata.get(name).map(String)]));
}
