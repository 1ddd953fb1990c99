// The sidecar's end of weft.v1.Config/Subscribe: keeps one call open to the control plane and hands over what arrives.
// What is in force stays in force while the control plane is away.
import { create } from '@bufbuild/protobuf';
import {
  CallReportSchema,
  Config,
  type LeafReport,
  LeafReportSchema,
  type Rejection,
  type Resource,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  type TracedCall,
  WantSchema,
} from '#core/contract/gen/weft/v1/config_pb.ts';
import { parseResourceName, podResourceName, serviceResourceName } from '#core/contract/resource-names.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { type GrpcError, STATUS } from '../link/grpc-stream.ts';
import type { Credentials } from './credentials.ts';
import { EndpointVersions } from './endpoint-versions.ts';
import { type BidiCall, GrpcConnection } from './grpc-call.ts';
import { HeldResources } from './held-resources.ts';
import type { Leaf } from './leaf.ts';
import { Reach } from './reach.ts';
import { MOST_WANTED_SERVICES, type Presence, Wants } from './wants.ts';

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 10_000;
/** The same for a pod that has no configuration yet, while no control plane is reached: it cannot be ready without. */
const UNREACHED_CAP_MS = 1_000;
/**
 * A stream must not outlive the certificate it was opened with: it is opened anew in this last part of the
 * certificate's life.
 */
const REOPEN_AT = 0.8;
/** Node's timers take no more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface ConfigStreamDeps {
  readonly controlPlane: { readonly host: string; readonly port: number };
  readonly credentials: Credentials;
  /** Of the sidecar program. */
  readonly version: string;
  readonly namespace: string;
  readonly pod: string;
  /** Addresses that the workload sends to directly, for a new stream; absent: none. */
  readonly addresses?: () => string[];
  /** Puts resources into force and takes others out (applyResources()). @returns those whose last good version stays */
  readonly apply: (resources: readonly Resource[], removed: readonly string[]) => readonly Rejection[];
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

/** An attempt to open the stream. `answered`: the stream that it takes over from had brought a response. */
interface Connecting {
  readonly at: 'connecting';
  readonly answered: boolean;
}

/** `answered`: this stream, or the one it took over from, has brought a response. */
interface Open {
  readonly at: 'open';
  readonly connection: GrpcConnection;
  readonly call: BidiCall<SubscribeRequest>;
  answered: boolean;
  readonly cancelReopen: () => void;
}

/**
 * Where the stream stands, with what leaving that state must cancel. An event that belongs to another state than the
 * present is ignored.
 */
type State =
  | { readonly at: 'stopped' }
  | { readonly at: 'without certificate'; readonly endListening: () => void }
  | Connecting
  | Open
  | { readonly at: 'waiting'; readonly cancelRetry: () => void };

export class ConfigStream {
  private readonly deps: ConfigStreamDeps;
  private readonly log: Logger;
  private readonly held = new HeldResources();
  private readonly endpoints = new EndpointVersions();
  private readonly wants = new Wants();
  private readonly reach: Reach;
  private state: State = { at: 'stopped' };
  /** The certificate that the control plane knows of. */
  private reported: Buffer | undefined;
  private endReports: () => void = () => {};
  private hasWarnedOfBound = false;
  private failuresInARow = 0;
  private sinceMs = 0;
  private lastResponseMs = 0;
  private responses = 0;
  private connects = 0;
  private lastError = '';

  constructor(deps: ConfigStreamDeps) {
    this.deps = deps;
    this.log = deps.log ?? silentLogger;
    const { controlPlane, timers, random } = deps;
    this.reach = new Reach({ ...controlPlane, timers, random });
  }

  /** Opens the stream as soon as there is a certificate, and again whenever it ends. */
  start(): void {
    if (this.state.at !== 'stopped') return;
    const { credentials } = this.deps;
    this.endReports = credentials.onChange((leaf) => this.reportLeaf(leaf));
    if (credentials.current() !== null) return void this.connect(false);
    const endListening = credentials.onChange(() => {
      endListening();
      void this.connect(false);
    });
    this.state = { at: 'without certificate', endListening };
  }

  /** Closes the stream; what is in force stays. */
  stop(): void {
    const { state } = this;
    this.state = { at: 'stopped' };
    this.endReports();
    if (state.at === 'without certificate') state.endListening();
    else if (state.at === 'waiting') state.cancelRetry();
    else if (state.at === 'open') {
      state.cancelReopen();
      state.connection.close();
    }
  }

  /**
   * Asks for a Service (`<namespace>/<name>`) that this workload sends to. Asked again, the same answer at once.
   * With the control plane away the promise waits until it is back: the caller bounds it.
   */
  want(service: string): Promise<Presence> {
    const { answer, isNew } = this.wants.ask(service, this.held.versions.has(serviceResourceName('service', service)));
    if (isNew) this.send({ case: 'want', value: create(WantSchema, { services: [service] }) });
    else if (answer === Wants.UNKNOWN && !this.hasWarnedOfBound) {
      this.hasWarnedOfBound = true;
      this.log.warn('too many Services are asked about, further ones are not', { service, bound: MOST_WANTED_SERVICES });
    }
    return answer;
  }

  /** Asks which pod is at an IP address; the answer is the resource pod/<address>, at once and whenever it changes. */
  askAddress(address: string): void {
    this.held.forget(podResourceName(address)); // an answer that came after it was dropped last
    this.send({ case: 'want', value: create(WantSchema, { addresses: [address] }) });
  }

  /** Stops asking about these addresses. */
  dropAddresses(addresses: readonly string[]): void {
    for (const address of addresses) this.held.forget(podResourceName(address));
    this.send({ case: 'want', value: create(WantSchema, { dropped: [...addresses] }) });
  }

  /**
   * Reports calls whose traces are worth a look. A control plane that is older passes over it; without one it is lost.
   */
  reportCalls(calls: TracedCall[]): void {
    this.send({ case: 'calls', value: create(CallReportSchema, { calls }) });
  }

  /** The control plane has answered, on this stream or on the one it took over from. */
  get connected(): boolean {
    return (this.state.at === 'open' || this.state.at === 'connecting') && this.state.answered;
  }

  status(): ConfigStreamStatus {
    return {
      connected: this.connected,
      sinceMs: this.sinceMs,
      lastResponseMs: this.lastResponseMs,
      responses: this.responses,
      rejections: this.held.rejections,
      connects: this.connects,
      lastError: this.lastError,
      versions: Object.fromEntries(this.held.versions),
      rejected: Object.fromEntries(this.held.refused),
    };
  }

  private async connect(answered: boolean): Promise<void> {
    const { controlPlane, credentials, timers } = this.deps;
    const attempt: Connecting = { at: 'connecting', answered };
    this.state = attempt;
    const leaf = credentials.current()!;
    let connection: GrpcConnection;
    try {
      const secureContext = credentials.tlsClientContext()!;
      const { reach } = this;
      connection = await GrpcConnection.connect({ ...controlPlane, secureContext, trustDomain: credentials.trustDomain(), timers, reach });
    } catch (error) {
      if (this.state === attempt) this.lost(error as GrpcError, answered, this.lastResponseMs === 0 ? UNREACHED_CAP_MS : RETRY_CAP_MS);
      return;
    }
    if (this.state !== attempt) return connection.close();
    const open: Open = {
      at: 'open',
      connection,
      answered,
      call: connection.bidi(Config.method.subscribe, {
        message: (response) => {
          if (this.state === open) this.receive(response, open);
        },
        ended: (error) => {
          connection.close();
          if (this.state !== open) return;
          open.cancelReopen();
          this.lost(error, open.answered);
        },
      }),
      cancelReopen: timers.after(this.reopenInMs(leaf), () => this.reopen(open, leaf)),
    };
    this.state = open;
    this.connects++;
    this.sayHello();
  }

  private sayHello(): void {
    const { version, namespace, pod, addresses, credentials } = this.deps;
    const leaf = credentials.current()!;
    this.reported = leaf.chain[0];
    this.send({
      case: 'hello',
      value: {
        $typeName: 'weft.v1.Hello',
        version,
        namespace,
        pod,
        services: this.wants.all(),
        addresses: addresses?.() ?? [],
        deltas: true,
        leaf: leafReport(leaf),
        places: true,
        held: [...this.held.versions].map(([name, heldVersion]) => ({ $typeName: 'weft.v1.HeldResource', name, version: heldVersion })),
      },
    });
  }

  /** Another replica may have issued it. */
  private reportLeaf(leaf: Leaf): void {
    if (this.state.at !== 'open' || leaf.chain[0] === this.reported) return;
    this.reported = leaf.chain[0];
    this.send({ case: 'leaf', value: leafReport(leaf) });
  }

  private receive(response: SubscribeResponse, open: Open): void {
    const nowMs = this.deps.timers.now();
    if (!open.answered) {
      this.log.info('connected to the control plane', { resources: response.resources.length });
      this.sinceMs = nowMs;
    }
    open.answered = true;
    this.lastError = '';
    this.failuresInARow = 0;
    this.lastResponseMs = nowMs;
    this.responses++;
    const { whole, refused } = this.endpoints.complete(response.resources);
    const rejected = [...refused, ...this.deps.apply(whole, response.removed)];
    for (const { name, version, reason } of rejected)
      this.log.warn('resource refused, the last good one stays', { resource: name, version, reason });
    const rejectedNames = new Set(rejected.map(({ name }) => name));
    this.held.note(response, rejected);
    this.endpoints.note(whole, response.removed, rejectedNames);
    this.answerWants(response, rejectedNames);
    this.send({ case: 'ack', value: { $typeName: 'weft.v1.Ack', nonce: response.nonce, rejected } });
  }

  /**
   * @param refused names of resources that could not be used: they are no answer, because a version that can be may
   * follow
   */
  private answerWants({ resources, removed, absent }: SubscribeResponse, refused: ReadonlySet<string>): void {
    for (const { name } of resources) if (!refused.has(name)) this.answerWant(name, 'present');
    for (const name of removed) this.answerWant(name, 'absent');
    for (const service of absent) this.wants.answer(service, 'absent');
  }

  private answerWant(resource: string, presence: 'present' | 'absent'): void {
    const name = parseResourceName(resource);
    if (name?.kind === 'service') this.wants.answer(name.key, presence);
  }

  private send(message: SubscribeRequest['message']): void {
    if (this.state.at === 'open') this.state.call.send(create(SubscribeRequestSchema, { message }));
  }

  /** The stream or the attempt at it has ended: it is tried again later. */
  private lost(error: GrpcError, wasConnected: boolean, capMs = RETRY_CAP_MS): void {
    const { credentials, timers, random } = this.deps;
    const waitMs = backoffMs(this.failuresInARow++, RETRY_BASE_MS, capMs, random());
    // Once, not at each attempt: a control plane that is away for an hour is one event.
    if (wasConnected || this.lastError === '') {
      this.sinceMs = timers.now();
      this.log.warn('control plane away, going on with what is in force', { error, code: error.code, retryInMs: Math.round(waitMs) });
    } else this.log.debug('control plane still away', { error, code: error.code, retryInMs: Math.round(waitMs) });
    this.lastError = error.message;
    if (error.code === STATUS.unauthenticated) credentials.refused();
    else void credentials.reviewRoots();
    this.state = { at: 'waiting', cancelRetry: timers.after(waitMs, () => void this.connect(false)) };
  }

  /** When to open the stream anew, in ms from now. */
  private reopenInMs({ notAfterMs }: Leaf): number {
    const { timers, random } = this.deps;
    // A stream may be opened with a certificate that has just expired: the control plane will say so.
    const lifeMs = Math.max(0, notAfterMs - timers.now());
    // Spread over the last fifth, so that the sidecars of a burst of starts do not all come at once.
    return Math.min(LONGEST_TIMER_MS, lifeMs * (REOPEN_AT + random() * (1 - REOPEN_AT) * 0.5));
  }

  private reopen(open: Open, leaf: Leaf): void {
    if (this.state !== open || this.deps.credentials.current() === leaf) return; // no newer certificate: the control plane decides
    this.log.debug('opening the stream anew with the new certificate');
    void this.connect(open.answered);
    open.connection.close();
  }
}

function leafReport({ notAfterMs, signing }: Leaf): LeafReport {
  return create(LeafReportSchema, { notAfterMs: BigInt(notAfterMs), signing });
}
