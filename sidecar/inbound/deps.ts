// What the inbound side needs of the rest of the sidecar.
import type { MtlsMode } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { ExchangeDeps } from '../forward/exchange-deps.ts';
import type { DownstreamConnections } from '../http/downstream-connections.ts';
import type { ClientCredentials } from '../link/dial.ts';
import type { DetectionOutcome } from '../link/listener.ts';
import type { ServerCredentials } from '../link/tls.ts';
import type { ServicePortRef } from '../route/records.ts';
import type { TcpObserver } from '../tcp/observer.ts';

export interface InboundDeps {
  /** By which a caller's calls are forwarded and counted. @param caller SPIFFE id, or '' for plaintext */
  proxyFor(caller: string): ExchangeDeps;
  readonly credentials: ServerCredentials & ClientCredentials;
  readonly connections: DownstreamConnections;
  readonly log: Logger;
  /** Of waits for what a silent connection is. */
  readonly timers: Timers;
  /** Unix ms. */
  readonly wallClock: () => number;
  /** Namespace and name by which counters call the pod. */
  workload(): { namespace: string; name: string };
  mtls(): MtlsMode;
  /**
   * A connection was refused.
   * @param reason "plaintext", or what was wrong with the TLS handshake: short and stable
   * @param detail the same for people; absent: there is no more to say
   */
  tlsRefused(reason: string, ref: ServicePortRef, detail?: string): void;
  readonly tcp: TcpObserver;
  detected(outcome: DetectionOutcome): void;
  /** An HTTP/2 connection of a client ended. */
  closed(reason: string): void;
  /** Connections to this port are passed as TCP without a look at what they carry. */
  isOpaque(port: number): boolean;
}
