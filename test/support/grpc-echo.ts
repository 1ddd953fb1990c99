// A gRPC service of another implementation (grpc-js), with the four kinds of call and messages that are plain octets.
import * as grpc from '@grpc/grpc-js';

const identity = (octets: Buffer): Buffer => octets;
const method = (name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

export const ECHO = {
  Unary: method('Unary', false, false),
  Collect: method('Collect', true, false),
  Repeat: method('Repeat', false, true),
  Chat: method('Chat', true, true),
  /** Never answers. */
  Sleep: method('Sleep', false, false),
  Fail: method('Fail', false, false),
};

const OPTIONS = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

export interface EchoServer {
  readonly port: number;
  /** Metadata of the latest call, and how many calls were cancelled. */
  metadata: grpc.Metadata | null;
  cancelled: number;
  close(): void;
}

/** Answers with what it gets; the initial metadata come back as they are, and once more as trailers. */
export async function startEcho(): Promise<EchoServer> {
  const server = new grpc.Server(OPTIONS);
  const state: EchoServer = { port: 0, metadata: null, cancelled: 0, close: () => server.forceShutdown() };
  const begin = (call: { metadata: grpc.Metadata; sendMetadata(m: grpc.Metadata): void }): grpc.Metadata => {
    state.metadata = call.metadata;
    const back = new grpc.Metadata();
    for (const name of Object.keys(call.metadata.getMap())) {
      if (name.startsWith('x-')) for (const value of call.metadata.get(name)) back.add(name, value);
    }
    call.sendMetadata(back);
    return back;
  };
  server.addService(ECHO, {
    Unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      done(null, call.request, begin(call));
    },
    Collect(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      const trailers = begin(call);
      const parts: Buffer[] = [];
      call.on('data', (part: Buffer) => parts.push(part));
      call.on('end', () => done(null, Buffer.concat(parts), trailers));
    },
    Repeat(call: grpc.ServerWritableStream<Buffer, Buffer>) {
      begin(call);
      call.on('cancelled', () => state.cancelled++);
      for (let i = 0; i < 10; i++) call.write(call.request);
      if (call.request.toString() !== 'for ever') call.end();
    },
    Chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
      begin(call);
      call.on('data', (part: Buffer) => call.write(part));
      call.on('end', () => call.end());
    },
    Sleep(call: grpc.ServerUnaryCall<Buffer, Buffer>) {
      state.metadata = call.metadata;
      call.on('cancelled', () => state.cancelled++);
    },
    Fail(_call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'not ☃ yet\n100%' });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  (state as { port: number }).port = port;
  return state;
}

/** A client of the service at a port. */
export function echoClient(port: number): grpc.Client {
  return new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), OPTIONS);
}
