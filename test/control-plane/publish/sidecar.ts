// A sidecar's end of the configuration stream in a test's hands: a grpc-js client with a certificate of its own.
import { generateKeyPairSync } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type Client, type ClientDuplexStream, credentials, makeClientConstructor, type ServiceError, type status } from '@grpc/grpc-js';
import { type Authority, toPem } from '#certs/authority.ts';
import { configServiceDefinition } from '#control-plane/publish/serve.ts';
import {
  type Resource,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
} from '#core/contract/gen/weft/v1/config_pb.ts';

// An IP address is no server name (RFC 6066 §3); the SPIFFE id names the server.
const SERVER_NAME = { 'grpc.ssl_target_name_override': 'weft-control-plane' };

/** A sidecar's end of the stream by hand: answers each response unless a test says otherwise. */
export class Sidecar {
  readonly responses: SubscribeResponse[] = [];
  readonly inForce = new Map<string, Resource>();
  ended: ServiceError | null = null;
  answers = true;
  rejects = new Set<string>();
  private wake: () => void = () => {};
  private readonly client: Client;
  private readonly stream: ClientDuplexStream<SubscribeRequest, SubscribeResponse>;

  constructor(client: Client) {
    this.client = client;
    this.stream = (client as unknown as { subscribe(): ClientDuplexStream<SubscribeRequest, SubscribeResponse> }).subscribe();
    this.stream.on('data', (response: SubscribeResponse) => {
      this.responses.push(response);
      if (this.answers) this.answer(response);
      this.wake();
    });
    this.stream.on('error', (error: ServiceError) => {
      this.ended = error;
      this.wake();
    });
    this.stream.on('end', () => this.wake());
  }

  send(message: SubscribeRequest['message']): this {
    this.stream.write(create(SubscribeRequestSchema, { message }));
    return this;
  }

  hello(podName: string, services: string[] = [], held: { name: string; version: string }[] = [], namespace = 'shop'): this {
    const heldResources = held.map((one) => ({ $typeName: 'weft.v1.HeldResource' as const, ...one }));
    return this.send({
      case: 'hello',
      value: {
        $typeName: 'weft.v1.Hello',
        version: 'test',
        namespace,
        pod: podName,
        services,
        addresses: [],
        held: heldResources,
        deltas: false,
        places: false,
      },
    });
  }

  want(...services: string[]): this {
    return this.send({ case: 'want', value: { $typeName: 'weft.v1.Want', services, addresses: [], dropped: [] } });
  }

  answer(response: SubscribeResponse): void {
    const rejected = response.resources
      .filter(({ name }) => this.rejects.has(name))
      .map(({ name, version }) => ({ $typeName: 'weft.v1.Rejection' as const, name, version, reason: 'cannot compile' }));
    for (const resource of response.resources) if (!this.rejects.has(resource.name)) this.inForce.set(resource.name, resource);
    for (const name of response.removed) this.inForce.delete(name);
    this.send({ case: 'ack', value: { $typeName: 'weft.v1.Ack', nonce: response.nonce, rejected } });
  }

  async until(condition: () => boolean): Promise<this> {
    while (!condition()) await new Promise<void>((resolve) => (this.wake = resolve));
    return this;
  }

  async code(): Promise<status> {
    await this.until(() => this.ended !== null);
    return this.ended!.code;
  }

  names(): string[] {
    return [...this.inForce.keys()].sort();
  }

  close(): void {
    this.stream.cancel();
    this.client.close();
  }
}

/** What a sidecar shows: PEM of its key and chain. */
export interface Certificate {
  readonly key: Buffer;
  readonly chain: Buffer;
}

/** @param podUid of the pod that it is issued to; '': it names none */
export async function certify(issuer: Authority, namespace: string, serviceAccount: string, podUid = ''): Promise<Certificate> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { chain } = await issuer.issue(publicKey, namespace, serviceAccount, 0, podUid);
  return {
    key: Buffer.from(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    chain: Buffer.from(chain.map((der) => toPem('CERTIFICATE', der)).join('')),
  };
}

/** Opens a stream; nothing is said on it yet. `serialize`: what goes out instead of the messages. */
export function dial(port: number, roots: string, certificate: Certificate | null, serialize?: () => Buffer): Sidecar {
  const { key = null, chain = null } = certificate ?? {};
  const channel = credentials.createSsl(Buffer.from(roots), key, chain, { checkServerIdentity: () => undefined });
  const subscribe = { ...configServiceDefinition.subscribe!, ...(serialize === undefined ? {} : { requestSerialize: serialize }) };
  const SubscribeClient = makeClientConstructor({ subscribe }, 'weft.v1.Config');
  return new Sidecar(new SubscribeClient(`127.0.0.1:${port}`, channel, SERVER_NAME));
}
