// weft.v1.Config/Subscribe on grpc-js: the stream's rules and limits; what is sent is the publisher's business.
import { type ServerDuplexStream, status, type UntypedHandleCall } from '@grpc/grpc-js';
import { Config, type Hello, type SubscribeRequest, type SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { WorkloadIdentity } from '#core/contract/identity.ts';
import type { Logger } from '#core/program/log.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import type { Timers } from '#core/program/timers.ts';
import { ipOfPeer } from '../issue/server-credentials.ts';
import { type Connection, type Ending, type Line, MOST_WANTS, type Publisher } from './publisher.ts';
import type { Peer } from './subscriber.ts';
import { serviceDefinition } from './wire.ts';

/** A stream that has not said who it is by then is closed. */
export const HELLO_WITHIN_MS = 10_000;
// Kubernetes' own bounds are 63 for a namespace and 253 for a name.
const LONGEST_NAME = 400;
/** Refused streams of one address that the log tells of in warnings: so many per minute, so many at once. The others are told in debug. */
export const REFUSALS_TOLD_PER_MINUTE = 6;
export const REFUSALS_TOLD_BURST = 10;
const MOST_HELD = 100_000;
// Node's timers overflow beyond.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Of the server that carries the stream. A dead peer is noticed within 30 s, in both directions. */
export const SERVER_OPTIONS = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': 16,
  'grpc.enable_channelz': 0,
} as const;

export type Call = ServerDuplexStream<SubscribeRequest, SubscribeResponse>;

/** Whose verified certificate the connection has, until when (Unix ms); a reason (for the log) when there is none that counts. */
export type Identify = (
  call: Call,
) =>
  | { readonly ok: true; readonly workload: WorkloadIdentity; readonly notAfterMs: number }
  | { readonly ok: false; readonly reason: string };

export interface ConfigServiceSettings {
  readonly publisher: Publisher;
  readonly identify: Identify;
  readonly timers: Timers;
  readonly log: Logger;
}

export const configServiceDefinition = serviceDefinition(Config);

/** What Server.addService takes besides the definition. */
export function configHandlers(settings: ConfigServiceSettings): Record<string, UntypedHandleCall> {
  const told = new RateLimit(REFUSALS_TOLD_PER_MINUTE, REFUSALS_TOLD_BURST, () => settings.timers.now());
  return { subscribe: (call: Call) => new SubscribeCall(call, settings, told).begin() };
}

const CODE_OF_ENDING: Readonly<Record<Ending['reason'], { code: status; details: string }>> = {
  replaced: { code: status.ABORTED, details: 'replaced by a newer stream of the same pod' },
  'not its pod': { code: status.PERMISSION_DENIED, details: 'the certificate is not of this pod' },
  'too many wants': { code: status.RESOURCE_EXHAUSTED, details: `more than ${MOST_WANTS} Services wanted` },
  'shutting down': { code: status.UNAVAILABLE, details: 'the control plane is shutting down' },
};

class SubscribeCall {
  private readonly call: Call;
  private readonly settings: ConfigServiceSettings;
  private readonly told: RateLimit;
  private connection: Connection | null = null;
  private identity: WorkloadIdentity | null = null;
  private notAfterMs = 0;
  private cancelHelloTimer: () => void = () => {};
  private cancelExpiryTimer: () => void = () => {};
  private over = false;
  private log: Logger;

  /** @param told limits what the log says of refused streams */
  constructor(call: Call, settings: ConfigServiceSettings, told: RateLimit) {
    this.call = call;
    this.settings = settings;
    this.told = told;
    this.log = settings.log.child('publish', { from: call.getPeer() });
  }

  begin(): void {
    const { call, settings } = this;
    // The peer may go at any time; what that means for the stream is seen in 'close'.
    call.on('error', () => {});
    for (const event of ['cancelled', 'close', 'finish'] as const) call.on(event, () => this.finish());
    const known = settings.identify(call);
    if (!known.ok) {
      this.tellRefusal(known.reason);
      this.end(status.UNAUTHENTICATED, 'a certificate of this mesh is needed');
      return;
    }
    this.identity = known.workload;
    this.notAfterMs = known.notAfterMs;
    // TLS does not look again: without this the stream would outlive the certificate that opened it.
    const leftMs = Math.min(Math.max(0, known.notAfterMs - settings.timers.now()), LONGEST_TIMER_MS);
    this.cancelExpiryTimer = settings.timers.after(leftMs, () => this.end(status.UNAUTHENTICATED, 'the certificate has expired'));
    this.cancelHelloTimer = settings.timers.after(HELLO_WITHIN_MS, () => this.end(status.DEADLINE_EXCEEDED, 'no hello'));
    call.on('data', (request) => this.take(request));
    call.on('end', () => this.end(status.OK, 'goodbye'));
  }

  private take({ message }: SubscribeRequest): void {
    if (this.over) return;
    if (message.case === 'hello') this.hello(message.value);
    else if (this.connection === null) this.end(status.INVALID_ARGUMENT, 'the first message must be hello');
    else if (message.case === 'want') {
      const { services, addresses, dropped } = message.value;
      if (!this.namesAreSane(services) || !this.namesAreSane(addresses) || !this.namesAreSane(dropped)) return;
      if (services.length > 0) this.connection.want(services);
      if (addresses.length + dropped.length > 0) this.connection?.wantAddresses(addresses, dropped);
    } else if (message.case === 'ack') {
      for (const rejection of this.connection.acknowledge(message.value)) {
        const { rejections } = this.settings.publisher.counters;
        const kind = rejection.name.split('/', 1)[0];
        rejections[kind] = (rejections[kind] ?? 0) + 1;
        this.log.warn('a sidecar cannot use a resource: it keeps the last good one', {
          resource: rejection.name,
          version: rejection.version,
          reason: rejection.reason,
        });
      }
    } else if (message.case === 'calls') this.connection.reportCalls(message.value);
    // A message of a newer sidecar that is not known here is passed over.
  }

  private hello(hello: Hello): void {
    if (this.connection !== null) return this.end(status.INVALID_ARGUMENT, 'a second hello');
    // Its connection was made, or its handshake begun, before the port was given up: it would never hear of a change.
    if (this.settings.publisher.closed) {
      const { code, details } = CODE_OF_ENDING['shutting down'];
      return this.end(code, details);
    }
    const { namespace, serviceAccount } = this.identity!;
    const peer: Peer = { namespace, serviceAccount, pod: hello.pod };
    if (hello.namespace !== namespace)
      return this.deny(`it says namespace ${JSON.stringify(hello.namespace.slice(0, 63))}, its certificate ${namespace}`);
    if (hello.pod === '' || hello.pod.length > LONGEST_NAME) return this.end(status.INVALID_ARGUMENT, 'hello must name the pod');
    if (hello.services.length + hello.addresses.length > MOST_WANTS)
      return this.end(status.RESOURCE_EXHAUSTED, CODE_OF_ENDING['too many wants'].details);
    if (hello.held.length > MOST_HELD) return this.end(status.RESOURCE_EXHAUSTED, `more than ${MOST_HELD} resources held`);
    if (!this.namesAreSane(hello.services) || !this.namesAreSane(hello.addresses) || !this.namesAreSane(hello.held.map(({ name }) => name)))
      return undefined;
    const refusal = this.settings.publisher.refusalOf(peer);
    if (refusal !== null) return this.deny(refusal);
    this.cancelHelloTimer();
    this.log = this.settings.log.child('publish', { pod: `${namespace}/${hello.pod}` });
    this.log.debug('a sidecar subscribes', { version: hello.version, held: hello.held.length });
    const line: Line = {
      send: (response) => {
        if (!this.over) this.call.write(response);
      },
      end: (ending) => {
        const { code, details } = CODE_OF_ENDING[ending.reason];
        this.end(code, details);
      },
    };
    this.connection = this.settings.publisher.connect(peer, hello, line, this.notAfterMs);
    return undefined;
  }

  private tellRefusal(reason: string): void {
    const level = this.told.take(ipOfPeer(this.call.getPeer())) ? 'warn' : 'debug';
    this.log[level]('a configuration stream is refused', { reason });
  }

  private deny(reason: string): void {
    this.tellRefusal(reason);
    this.end(status.PERMISSION_DENIED, CODE_OF_ENDING['not its pod'].details);
  }

  private namesAreSane(names: readonly string[]): boolean {
    if (names.every((name) => name.length <= LONGEST_NAME)) return true;
    this.end(status.INVALID_ARGUMENT, `a name is longer than ${LONGEST_NAME} characters`);
    return false;
  }

  private end(code: status, details: string): void {
    if (this.over) return;
    this.finish();
    if (code === status.OK) this.call.end();
    else this.call.emit('error', { code, details });
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.cancelHelloTimer();
    this.cancelExpiryTimer();
    this.connection?.detach();
  }
}
