// The sidecar's end of weft.v1.Config/Subscribe: keeps one call open to the control plane, hands over what arrives, and keeps the last good of everything.
import { create } from '@bufbuild/protobuf';
import {
  CallReportSchema,
  Config,
  type Rejection,
  RejectionSchema,
  type Resource,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  type TracedCall,
  WantSchema,
} from '#core/contract/gen/weft/v1/config_pb.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import type { GrpcError } from '../link/grpc-stream.ts';
import type { Credentials } from './credentials.ts';
import { type BidiCall, GrpcConnection } from './grpc-call.ts';
import type { Leaf } from './leaf.ts';
import { Wants } from './wants.ts';

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 10_000;
/** A stream must not outlive the certificate it was opened with: it is opened anew in this last part of the certificate's life. */
const REOPEN_AT = 0.8;

/** A resource that could not be used, and why. */
export interface Refused {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
}

export interface ConfigStreamSettings {
  readonly controlPlane: { readonly host: string; readonly port: number };
  readonly credentials: Credentials;
  /** Of the sidecar program. */
  readonly version: string;
  readonly namespace: string;
  readonly pod: string;
  /** Addresses that the workload sends to directly, for a new stream; absent: none. */
  readonly addresses?: () => string[];
  /** Puts resources into force and takes others out; what it returns keeps its last good version. */
  readonly apply: (resources: readonly Resource[], removed: readonly string[]) => readonly Refused[];
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log?: Logger;
}

export interface ConfigStreamStatus {
  readonly connected: boolean;
  /** Unix ms of the newest change between connected and not; 0: never connected. */
  readonly sinceMs: number;
  /** Unix ms; 0: none yet. */
  readonly lastResponseMs: number;
  readonly responses: number;
  readonly rejections: number;
  readonly connects: number;
  /** Why the last attempt or call ended; '' while connected. */
  readonly lastError: string;
  /** What is in force: resource name → version. */
  readonly versions: Readonly<Record<string, string>>;
  /** What was refused and has not been replaced since: resource name → reason. */
  readonly rejected: Readonly<Record<string, string>>;
}

interface Open {
  readonly connection: GrpcConnection;
  readonly call: BidiCall<SubscribeRequest>;
}

export class ConfigStream {
  private readonly settings: ConfigStreamSettings;
  private readonly log: Logger;
  private readonly held = new Map<string, string>();
  private readonly rejected = new Map<string, string>();
  private readonly wants = new Wants();
  private open: Open | null = null;
  /** Counts attempts, so that what belongs to an old one is told apart. */
  private attempt = 0;
  private started = false;
  private cancelRetry: () => void = () => {};
  private cancelReopen: () => void = () => {};
  private endListening: () => void = () => {};
  /** The stream in force has brought a response. */
  private answered = false;
  private failuresInARow = 0;
  private sinceMs = 0;
  private lastResponseMs = 0;
  private responses = 0;
  private rejections = 0;
  private connects = 0;
  private lastError = '';

  constructor(settings: ConfigStreamSettings) {
    this.settings = settings;
    this.log = settings.log ?? silentLogger;
  }

  /** Opens the stream as soon as there is a certificate, and again whenever it ends. */
  start(): void {
    if (this.started) return;
    this.started = true;
    const { credentials } = this.settings;
    if (credentials.current() !== null) return void this.connect();
    this.endListening = credentials.onChange(() => {
      this.endListening();
      void this.connect();
    });
  }

  /** Closes the stream; what is in force stays. */
  stop(): void {
    this.started = false;
    this.attempt++;
    this.cancelRetry();
    this.cancelReopen();
    this.endListening();
    this.open?.connection.close();
    this.open = null;
    this.answered = false;
  }

  /**
   * Asks for a Service (`<namespace>/<name>`) that this workload sends to. Asked again, the same answer at once.
   * With the control plane away the promise waits until it is back: the caller bounds it.
   */
  want(service: string): Promise<'present' | 'absent'> {
    const { answer, isNew } = this.wants.ask(service, this.held.has(`service/${service}`));
    if (isNew) this.send({ case: 'want', value: create(WantSchema, { services: [service] }) });
    return answer;
  }

  /** Asks who is at an IP address; the answer is the resource pod/<address>, at once and whenever it changes. */
  askAddress(address: string): void {
    this.held.delete(`pod/${address}`); // an answer that came after it was dropped last
    this.send({ case: 'want', value: create(WantSchema, { addresses: [address] }) });
  }

  /** These addresses have been forgotten. */
  dropAddresses(addresses: readonly string[]): void {
    for (const address of addresses) this.held.delete(`pod/${address}`);
    this.send({ case: 'want', value: create(WantSchema, { dropped: [...addresses] }) });
  }

  /** Tells of calls whose traces are worth a look. A control plane that is older passes over it; without one it is lost. */
  reportCalls(calls: TracedCall[]): void {
    this.send({ case: 'calls', value: create(CallReportSchema, { calls }) });
  }

  /** The control plane has answered on the stream that is open now. */
  get connected(): boolean {
    return this.answered;
  }

  status(): ConfigStreamStatus {
    return {
      connected: this.answered,
      sinceMs: this.sinceMs,
      lastResponseMs: this.lastResponseMs,
      responses: this.responses,
      rejections: this.rejections,
      connects: this.connects,
      lastError: this.lastError,
      versions: Object.fromEntries(this.held),
      rejected: Object.fromEntries(this.rejected),
    };
  }

  private async connect(): Promise<void> {
    const { controlPlane, credentials, timers, version, namespace, pod } = this.settings;
    const attempt = ++this.attempt;
    const leaf = credentials.current()!;
    let connection: GrpcConnection;
    try {
      const secureContext = credentials.tlsClientContext()!;
      connection = await GrpcConnection.connect({ ...controlPlane, secureContext, trustDomain: credentials.trustDomain(), timers });
    } catch (error) {
      if (attempt === this.attempt) this.lost(error as GrpcError);
      return;
    }
    if (attempt !== this.attempt) return connection.close();
    const call = connection.bidi(Config.method.subscribe, {
      message: (response) => {
        if (attempt === this.attempt) this.receive(response);
      },
      ended: (error) => {
        connection.close();
        if (attempt === this.attempt) this.lost(error);
      },
    });
    this.open = { connection, call };
    this.connects++;
    this.send({
      case: 'hello',
      value: {
        $typeName: 'weft.v1.Hello',
        version,
        namespace,
        pod,
        services: this.wants.all(),
        addresses: this.settings.addresses?.() ?? [],
        held: [...this.held].map(([name, heldVersion]) => ({ $typeName: 'weft.v1.HeldResource', name, version: heldVersion })),
      },
    });
    this.reopenBeforeExpiry(leaf);
  }

  private receive(response: SubscribeResponse): void {
    const { settings } = this;
    const nowMs = settings.timers.now();
    if (!this.answered) {
      this.log.info('connected to the control plane', { resources: response.resources.length });
      this.sinceMs = nowMs;
    }
    this.answered = true;
    this.lastError = '';
    this.failuresInARow = 0;
    this.lastResponseMs = nowMs;
    this.responses++;
    const refused = [...this.takeTrust(response.resources), ...settings.apply(response.resources, response.removed)];
    const reasons = new Map(refused.map(({ name, reason }) => [name, reason]));
    for (const { name, version } of response.resources) {
      const reason = reasons.get(name);
      if (reason === undefined) {
        this.held.set(name, version);
        this.rejected.delete(name);
        if (name.startsWith('service/')) this.wants.answer(name.slice('service/'.length), 'present');
      } else {
        this.rejected.set(name, reason);
        this.log.warn('resource refused, the last good one stays', { resource: name, version, reason });
      }
    }
    for (const name of response.removed) {
      this.held.delete(name);
      this.rejected.delete(name);
      if (name.startsWith('service/')) this.wants.answer(name.slice('service/'.length), 'absent');
    }
    for (const service of response.absent) this.wants.answer(service, 'absent');
    this.rejections += refused.length;
    const rejected: Rejection[] = refused.map(({ name, version, reason }) => create(RejectionSchema, { name, version, reason }));
    this.send({ case: 'ack', value: { $typeName: 'weft.v1.Ack', nonce: response.nonce, rejected } });
  }

  private takeTrust(resources: readonly Resource[]): Refused[] {
    const refused: Refused[] = [];
    for (const { name, version, body } of resources) {
      if (body.case !== 'trust') continue;
      try {
        this.settings.credentials.setTrust(body.value);
      } catch (error) {
        refused.push({ name, version, reason: (error as Error).message });
      }
    }
    return refused;
  }

  private send(message: SubscribeRequest['message']): void {
    this.open?.call.send(create(SubscribeRequestSchema, { message }));
  }

  /** The stream or the attempt at it has ended: everything that is in force stays in force. */
  private lost(error: GrpcError): void {
    const { timers, random } = this.settings;
    this.open = null;
    this.cancelReopen();
    if (!this.started) return;
    const wasConnected = this.answered;
    this.answered = false;
    const waitMs = backoffMs(this.failuresInARow++, RETRY_BASE_MS, RETRY_CAP_MS, random());
    // Once, not at each attempt: a control plane that is away for an hour is one event.
    if (wasConnected || this.lastError === '') {
      this.sinceMs = timers.now();
      this.log.warn('control plane away, going on with what is in force', { error, code: error.code, retryInMs: Math.round(waitMs) });
    } else this.log.debug('control plane still away', { error, code: error.code, retryInMs: Math.round(waitMs) });
    this.lastError = error.message;
    this.cancelRetry = timers.after(waitMs, () => void this.connect());
  }

  private reopenBeforeExpiry(leaf: Leaf): void {
    const { timers, random, credentials } = this.settings;
    // A stream may be opened with a certificate that has just expired: the control plane will say so.
    const lifeMs = Math.max(0, leaf.notAfterMs - timers.now());
    // Spread over the last fifth, so that the sidecars of a burst of starts do not all come at once.
    const waitMs = Math.min(2 ** 31 - 1, lifeMs * (REOPEN_AT + random() * (1 - REOPEN_AT) * 0.5));
    this.cancelReopen = timers.after(waitMs, () => {
      if (credentials.current() === leaf || this.open === null) return; // no newer certificate: the control plane decides
      this.log.debug('opening the stream anew with the new certificate');
      const { connection } = this.open;
      this.open = null;
      connection.close();
      void this.connect();
    });
  }
}
