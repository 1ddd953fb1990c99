// weft.v1.Replicas/Follow, the answering end: reports how many sidecars of this replica run what, and what changes of it.
import { create } from '@bufbuild/protobuf';
import { type ServerWritableStream, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type FollowRequest,
  RefusalSchema,
  type ReplicaReport,
  ReplicaReportSchema,
  type ServiceCount,
  ServiceCountSchema,
} from '#core/contract/gen/weft/v1/replicas_pb.ts';
import { controlPlaneSpiffeId } from '#core/contract/identity.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { PeerVerdict } from '../issue/server-credentials.ts';
import type { ServiceStanding } from '../publish/standings.ts';

/** Between two reports on one stream: the first change goes out at once, what follows is collected. */
export const COUNTS_REPORTED_EVERY_MS = 1000;
/** The leader has one; a replica that led until a moment ago may have another. */
export const MOST_FOLLOWERS = 8;
/** Services of one message: 100 octets each, as long as no sidecar refuses them. */
export const MOST_COUNTS = 500;
/** Refusals that are reported of a Service, and characters of a reason: a condition names three. */
export const MOST_REFUSALS = 3;
export const LONGEST_REFUSAL = 200;
// Node's timers overflow beyond.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type FollowCall = ServerWritableStream<FollowRequest, ReplicaReport>;

export interface ReportingDeps {
  /** Name of this pod. */
  readonly replica: string;
  readonly trustDomain: string;
  /** By key of the Service; without Services that no sidecar wants. Objects that are the same stand for the same counts. */
  readonly standings: () => ReadonlyMap<string, ServiceStanding>;
  readonly identify: (call: FollowCall) => PeerVerdict;
  readonly timers: Timers;
  readonly log: Logger;
}

export class Reporting {
  private readonly deps: ReportingDeps;
  private readonly streams = new Set<ReportStream>();

  constructor(deps: ReportingDeps) {
    this.deps = deps;
  }

  /** For the definition of weft.v1.Replicas. */
  handlers(): UntypedServiceImplementation {
    return { follow: (call: FollowCall) => this.take(call) };
  }

  /** A sidecar came, went or answered, or a Service is another. Costs nothing while nobody follows. */
  touch(): void {
    for (const stream of this.streams) stream.touch();
  }

  private take(call: FollowCall): void {
    const { identify, trustDomain, timers, log, standings, replica } = this.deps;
    call.on('error', () => {});
    const refuse = (code: status, details: string): boolean => call.emit('error', { code, details });
    const peer = identify(call);
    if (!peer.ok || peer.identity !== controlPlaneSpiffeId(trustDomain)) {
      log.debug('counts are for other replicas of the control plane alone', {
        from: call.getPeer(),
        identity: peer.ok ? peer.identity : '',
      });
      refuse(status.PERMISSION_DENIED, 'a certificate of the control plane is needed');
      return;
    }
    if (this.streams.size >= MOST_FOLLOWERS) {
      refuse(status.RESOURCE_EXHAUSTED, `more than ${MOST_FOLLOWERS} replicas follow this one`);
      return;
    }
    log.debug('another replica follows the counts', { replica: call.request.replica.slice(0, 253) });
    const stream = new ReportStream(call, { replica, standings, timers });
    this.streams.add(stream);
    // TLS does not look again: without this the stream would outlive the certificate that opened it.
    const leftMs = Math.min(Math.max(0, peer.notAfterMs - timers.now()), LONGEST_TIMER_MS);
    const cancelExpiry = timers.after(leftMs, () => refuse(status.UNAUTHENTICATED, 'the certificate has expired'));
    for (const event of ['cancelled', 'close', 'finish'] as const)
      call.on(event, () => {
        cancelExpiry();
        this.streams.delete(stream);
        stream.stop();
      });
    stream.report();
  }
}

type StreamState =
  /** A change is reported at once, or when the time between two reports is over. */
  | { readonly is: 'resting' }
  /** A report is due. */
  | { readonly is: 'due'; readonly cancel: () => void }
  /** The follower is slow: what changes meanwhile is in the next report. */
  | { readonly is: 'draining' }
  | { readonly is: 'over' };

class ReportStream {
  private readonly call: FollowCall;
  private readonly deps: Pick<ReportingDeps, 'replica' | 'standings' | 'timers'>;
  /** As the follower knows them. */
  private readonly sent = new Map<string, ServiceStanding>();
  private state: StreamState = { is: 'resting' };
  private reportedMs = 0;
  private hasBegun = false;

  constructor(call: FollowCall, deps: Pick<ReportingDeps, 'replica' | 'standings' | 'timers'>) {
    this.call = call;
    this.deps = deps;
    call.on('drain', () => {
      if (this.state.is !== 'draining') return;
      this.state = { is: 'resting' };
      this.report();
    });
  }

  touch(): void {
    if (this.state.is !== 'resting') return;
    const { timers } = this.deps;
    const waitMs = Math.max(0, this.reportedMs + COUNTS_REPORTED_EVERY_MS - timers.now());
    const cancel = timers.after(waitMs, () => {
      this.state = { is: 'resting' };
      this.report();
    });
    this.state = { is: 'due', cancel };
  }

  stop(): void {
    if (this.state.is === 'due') this.state.cancel();
    this.state = { is: 'over' };
  }

  /** Sends what the follower does not know yet, as much as it takes. */
  report(): void {
    const { replica, standings, timers } = this.deps;
    this.reportedMs = timers.now();
    const counts = this.changes(standings());
    if (counts.length === 0 && this.hasBegun) return;
    for (let from = 0; from === 0 || from < counts.length; from += MOST_COUNTS) {
      const part = counts.slice(from, from + MOST_COUNTS);
      for (const [key, standing] of part) {
        if (standing === null) this.sent.delete(key);
        else this.sent.set(key, standing);
      }
      const message = create(ReplicaReportSchema, {
        replica,
        counts: part.map(([key, standing]) => countOf(key, standing)),
        complete: from + MOST_COUNTS >= counts.length,
      });
      this.hasBegun = true;
      if (this.call.write(message)) continue;
      this.state = { is: 'draining' };
      return;
    }
  }

  /** Null: no sidecar wants it any more. */
  private changes(now: ReadonlyMap<string, ServiceStanding>): [string, ServiceStanding | null][] {
    const changed: [string, ServiceStanding | null][] = [];
    for (const [key, standing] of now) {
      const before = this.sent.get(key);
      if (before === standing) continue;
      if (before !== undefined && saysTheSame(before, standing)) this.sent.set(key, standing);
      else changed.push([key, standing]);
    }
    for (const key of this.sent.keys()) if (!now.has(key)) changed.push([key, null]);
    return changed;
  }
}

function countOf(service: string, standing: ServiceStanding | null): ServiceCount {
  if (standing === null) return create(ServiceCountSchema, { service });
  const { version, applied: on } = standing;
  const refusals = on.rejected
    .slice(0, MOST_REFUSALS)
    .map(({ pod, reason }) => create(RefusalSchema, { pod, reason: reason.slice(0, LONGEST_REFUSAL) }));
  return create(ServiceCountSchema, { service, version, want: on.want, applied: on.applied, rejected: on.rejected.length, refusals });
}

function saysTheSame(a: ServiceStanding, b: ServiceStanding): boolean {
  const named = ({ applied: { rejected } }: ServiceStanding): string =>
    rejected
      .slice(0, MOST_REFUSALS)
      .map(({ pod, reason }) => `${pod} ${reason}`)
      .join('\n');
  return (
    a.version === b.version &&
    a.applied.want === b.applied.want &&
    a.applied.applied === b.applied.applied &&
    a.applied.rejected.length === b.applied.rejected.length &&
    named(a) === named(b)
  );
}
