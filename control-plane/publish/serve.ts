// weft.v1.Config/Subscribe on grpc-js: the stream's rules and limits. The publisher decides what is sent.
import { type ServerDuplexStream, type ServiceDefinition, status, type UntypedHandleCall } from '@grpc/grpc-js';
import { Config, type Hello, type SubscribeRequest, type SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { WorkloadIdentity } from '#core/contract/identity.ts';
import type { Logger } from '#core/program/log.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import type { Timers } from '#core/program/timers.ts';
import { ipOfPeer } from '../issue/server-credentials.ts';
import type { Rejection } from './delivery.ts';
import { encodeResponse } from './encoding.ts';
import type { Publisher } from './publisher.ts';
import type { Ending, Line, Peer, Subscriber } from './subscriber.ts';
import { MOST_WANTED } from './wanted.ts';
import { serviceDefinition } from './wire.ts';

/** A stream whose hello has not come by then is closed, in ms. */
export const HELLO_WITHIN_MS = 10_000;
// Kubernetes' own bounds are 63 for a namespace and 253 for a name.
const LONGEST_NAME = 400;
/**
 * Refused streams of one address that the log has as warnings: so many per minute, so many at once. The others are
 * logged as debug.
 */
export const REFUSALS_LOGGED_PER_MINUTE = 6;
export const REFUSALS_LOGGED_BURST = 10;
/**
 * Resources that a sidecar may say it holds: of each Service that it may want three, and, of older sidecars, as many
 * addresses of others.
 */
export const MOST_HELD = 60_000;
/** Streams that one pod opens: so many per minute, so many at once. Each may begin with a hello that costs milliseconds. */
export const STREAMS_PER_MINUTE = 60;
export const STREAMS_BURST = 20;
/**
 * Names that one pod's messages may have, so many per minute and so many at once; a message counts as one more. Each
 * costs some microseconds; a sidecar that uses 10,000 Services may name 40,000 when it comes back.
 */
export const NAMES_PER_MINUTE = 120_000;
export const NAMES_BURST = 120_000;
/** A pod that its certificate names, and that is not known here yet, is waited for: the watch may be behind, in ms. */
export const POD_WITHIN_MS = 5000;
const POD_LOOK_MS = 50;
// Node's timers overflow beyond.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type SubscribeServerCall = ServerDuplexStream<SubscribeRequest, SubscribeResponse>;

/**
 * The workload of the connection's verified certificate, the uid of its pod, and its end (Unix ms); a reason (for the log) when there is
 * none that counts.
 */
export type Identify = (
  call: SubscribeServerCall,
) =>
  | { readonly ok: true; readonly workload: WorkloadIdentity; readonly podUid?: string; readonly notAfterMs: number }
  | { readonly ok: false; readonly reason: string };

export interface ConfigServiceDeps {
  readonly publisher: Publisher;
  readonly identify: Identify;
  readonly timers: Timers;
  readonly log: Logger;
}

const { subscribe } = serviceDefinition(Config);
export const configServiceDefinition: ServiceDefinition = { subscribe: { ...subscribe, responseSerialize: encodeResponse } };

/** What Server.addService takes besides the definition. */
export function configHandlers(deps: ConfigServiceDeps): Record<string, UntypedHandleCall> {
  const logged = new RateLimit(REFUSALS_LOGGED_PER_MINUTE, REFUSALS_LOGGED_BURST, () => deps.timers.now());
  const opened = new RateLimit(STREAMS_PER_MINUTE, STREAMS_BURST, () => deps.timers.now());
  const named = new RateLimit(NAMES_PER_MINUTE, NAMES_BURST, () => deps.timers.now());
  const limits = { logged, opened, named };
  return { subscribe: (call: SubscribeServerCall) => new SubscribeCall(call, deps, limits).begin() };
}

const CODE_OF_ENDING: Readonly<Record<Ending['reason'], { code: status; details: string }>> = {
  replaced: { code: status.ABORTED, details: 'replaced by a newer stream of the same pod' },
  'not its pod': { code: status.PERMISSION_DENIED, details: 'the certificate is not of this pod' },
  'too many wants': { code: status.RESOURCE_EXHAUSTED, details: `more than ${MOST_WANTED} Services wanted` },
  'shutting down': { code: status.UNAVAILABLE, details: 'the control plane is shutting down' },
};

type State =
  | { readonly is: 'new' }
  /** Its hello is waited for. */
  | {
      readonly is: 'greeting';
      readonly identity: WorkloadIdentity;
      /** Of the pod that its certificate was issued to; '': it names none. */
      readonly podUid: string;
      /** Unix ms: end of the certificate that opened the stream. */
      readonly notAfterMs: number;
      readonly cancelHello: () => void;
      /** Its hello has come, and its pod is waited for. */
      readonly greeted?: true;
      readonly cancelExpiry: () => void;
    }
  | { readonly is: 'subscribed'; readonly subscriber: Subscriber; readonly cancelExpiry: () => void }
  | { readonly is: 'over' };

/** Shared by all streams. */
interface StreamLimits {
  /** What the log says of refused streams, by address. */
  readonly logged: RateLimit;
  /** Streams, by pod. */
  readonly opened: RateLimit;
  /** Names in messages, by pod. */
  readonly named: RateLimit;
}

/** One stream. To its subscriber it is the Line. */
class SubscribeCall implements Line {
  private readonly call: SubscribeServerCall;
  private readonly deps: ConfigServiceDeps;
  private readonly limits: StreamLimits;
  private state: State = { is: 'new' };
  private log: Logger;

  constructor(call: SubscribeServerCall, deps: ConfigServiceDeps, limits: StreamLimits) {
    this.call = call;
    this.deps = deps;
    this.limits = limits;
    this.log = deps.log.child('publish', { from: call.getPeer() });
  }

  begin(): void {
    const { call } = this;
    const { timers, identify } = this.deps;
    // The peer may go at any time; what that means for the stream is seen in 'close'.
    call.on('error', () => {});
    for (const event of ['cancelled', 'close', 'finish'] as const) call.on(event, () => this.finish());
    const known = identify(call);
    if (!known.ok) {
      this.logRefusal(known.reason);
      this.answer(status.UNAUTHENTICATED, 'a certificate of this mesh is needed');
      return;
    }
    const { podUid = '' } = known;
    if (podUid !== '' && !this.limits.opened.take(podUid)) return this.tooOften();
    // TLS does not look again: without this the stream would outlive the certificate that opened it.
    const leftMs = Math.min(Math.max(0, known.notAfterMs - timers.now()), LONGEST_TIMER_MS);
    this.state = {
      is: 'greeting',
      identity: known.workload,
      podUid,
      notAfterMs: known.notAfterMs,
      cancelExpiry: timers.after(leftMs, () => this.answer(status.UNAUTHENTICATED, 'the certificate has expired')),
      cancelHello: timers.after(HELLO_WITHIN_MS, () => this.answer(status.DEADLINE_EXCEEDED, 'no hello')),
    };
    call.on('data', (request) => this.take(request));
    call.on('end', () => this.answer(status.OK, 'goodbye'));
  }

  send(response: SubscribeResponse): void {
    if (!this.isOver()) this.call.write(response);
  }

  end(ending: Ending): void {
    const { code, details } = CODE_OF_ENDING[ending.reason];
    this.answer(code, details);
  }

  private take({ message }: SubscribeRequest): void {
    const { state } = this;
    if (state.is === 'greeting') {
      if (message.case === 'hello' && state.greeted === undefined) this.hello(message.value, state);
      else this.answer(status.INVALID_ARGUMENT, 'the first message must be hello');
    } else if (state.is === 'subscribed') this.takeFrom(state.subscriber, message);
  }

  private takeFrom(subscriber: Subscriber, message: SubscribeRequest['message']): void {
    const { namespace, pod } = subscriber.peer;
    if (!this.limits.named.take(`${namespace}/${pod}`, 1 + namesIn(message))) return this.tooManyNames();
    switch (message.case) {
      case 'hello':
        return this.answer(status.INVALID_ARGUMENT, 'a second hello');
      case 'want': {
        const { services, addresses, dropped } = message.value;
        if (!this.namesAreSane(services) || !this.namesAreSane(addresses) || !this.namesAreSane(dropped)) return;
        if (services.length > 0) subscriber.want(services);
        if (addresses.length + dropped.length > 0) subscriber.wantAddresses(addresses, dropped);
        return;
      }
      case 'ack':
        for (const rejection of subscriber.acknowledge(message.value)) this.noteRejection(rejection);
        return;
      case 'calls':
        return subscriber.reportCalls(message.value);
      case 'leaf':
        return subscriber.reportLeaf(message.value);
      // A message of a newer sidecar that is not known here is passed over.
    }
  }

  private hello(hello: Hello, { identity, podUid }: State & { is: 'greeting' }): void {
    const { publisher } = this.deps;
    // Its connection was made, or its handshake begun, before the port was given up: it would never hear of a change.
    if (publisher.closed) return this.end({ reason: 'shutting down' });
    const { namespace, serviceAccount } = identity;
    const peer: Peer = { namespace, serviceAccount, pod: hello.pod, ...(podUid !== '' && { podUid }) };
    if (hello.namespace !== namespace)
      return this.deny(`it says namespace ${JSON.stringify(hello.namespace.slice(0, 63))}, its certificate ${namespace}`);
    if (hello.pod === '' || hello.pod.length > LONGEST_NAME) return this.answer(status.INVALID_ARGUMENT, 'hello must name the pod');
    if (hello.services.length + hello.addresses.length > MOST_WANTED) return this.end({ reason: 'too many wants' });
    if (hello.held.length > MOST_HELD) return this.answer(status.RESOURCE_EXHAUSTED, `more than ${MOST_HELD} resources held`);
    if (!this.namesAreSane(hello.services) || !this.namesAreSane(hello.addresses) || !this.namesAreSane(hello.held.map(({ name }) => name)))
      return undefined;
    return this.admit(peer, hello, this.deps.timers.now() + POD_WITHIN_MS);
  }

  /** @param untilMs Unix ms: so long its pod may be unknown */
  private admit(peer: Peer, hello: Hello, untilMs: number): void {
    const { state } = this;
    const { publisher, timers } = this.deps;
    if (state.is !== 'greeting') return undefined;
    if (publisher.closed) return this.end({ reason: 'shutting down' });
    const verdict = publisher.judge(peer);
    if (verdict.is === 'unknown' && peer.podUid !== undefined && timers.now() < untilMs) {
      state.cancelHello();
      this.state = { ...state, greeted: true, cancelHello: timers.after(POD_LOOK_MS, () => this.admit(peer, hello, untilMs)) };
      return undefined;
    }
    if (verdict.is !== 'accepted') return this.deny(verdict.reason);
    if (!publisher.mayConnect(peer)) return this.deny(`pod ${peer.namespace}/${peer.pod} has a stream, and this certificate names no pod`);
    // Only now it is known whose share this is: a sibling must not use up that of another pod.
    const pod = `${peer.namespace}/${peer.pod}`;
    const names = hello.services.length + hello.addresses.length + hello.held.length;
    if (peer.podUid === undefined && !this.limits.opened.take(pod)) return this.tooOften();
    if (!this.limits.named.take(pod, 1 + names)) return this.tooManyNames();
    const { notAfterMs, cancelHello, cancelExpiry } = state;
    cancelHello();
    this.log = this.deps.log.child('publish', { pod });
    this.log.debug('a sidecar subscribes', { version: hello.version, held: hello.held.length });
    const subscriber = publisher.connect(peer, hello, this, notAfterMs);
    // The first response may find the stream at its end.
    if (this.isOver()) subscriber.detach();
    else this.state = { is: 'subscribed', subscriber, cancelExpiry };
    return undefined;
  }

  private noteRejection({ name, version, reason }: Rejection): void {
    const { rejections } = this.deps.publisher.counters;
    const kind = name.split('/', 1)[0];
    rejections[kind] = (rejections[kind] ?? 0) + 1;
    this.log.warn('a sidecar cannot use a resource: it keeps the last good one', { resource: name, version, reason });
  }

  private logRefusal(reason: string): void {
    const level = this.limits.logged.take(ipOfPeer(this.call.getPeer())) ? 'warn' : 'debug';
    this.log[level]('a configuration stream is refused', { reason });
  }

  private tooOften(): void {
    this.answer(status.RESOURCE_EXHAUSTED, 'this pod opens streams too often');
  }

  private tooManyNames(): void {
    this.answer(status.RESOURCE_EXHAUSTED, `more than ${NAMES_PER_MINUTE} names a minute`);
  }

  private deny(reason: string): void {
    this.logRefusal(reason);
    this.answer(status.PERMISSION_DENIED, CODE_OF_ENDING['not its pod'].details);
  }

  private namesAreSane(names: readonly string[]): boolean {
    if (names.every((name) => name.length <= LONGEST_NAME)) return true;
    this.answer(status.INVALID_ARGUMENT, `a name is longer than ${LONGEST_NAME} characters`);
    return false;
  }

  private isOver(): boolean {
    return this.state.is === 'over';
  }

  /** Ends the stream with this status. */
  private answer(code: status, details: string): void {
    if (this.isOver()) return;
    this.finish();
    if (code === status.OK) this.call.end();
    else this.call.emit('error', { code, details });
  }

  /** The stream is over, whichever side ended it. */
  private finish(): void {
    const { state } = this;
    if (state.is === 'over') return;
    this.state = { is: 'over' };
    if (state.is === 'new') return;
    state.cancelExpiry();
    if (state.is === 'greeting') state.cancelHello();
    else state.subscriber.detach();
  }
}

function namesIn({ case: kind, value }: SubscribeRequest['message']): number {
  switch (kind) {
    case 'want':
      return value.services.length + value.addresses.length + value.dropped.length;
    case 'ack':
      return value.rejected.length;
    case 'calls':
      return value.calls.length;
    default:
      return 0;
  }
}
