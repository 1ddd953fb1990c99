// What the outbound side needs of the rest of the sidecar.
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { ExchangeDeps, PortHandle } from '../forward/exchange-deps.ts';
import type { DownstreamConnections } from '../http/downstream-connections.ts';
import type { ClientCredentials } from '../link/dial.ts';
import type { DetectionOutcome } from '../link/listener.ts';
import type { ServicePortRef } from '../route/records.ts';
import type { TcpObserver } from '../tcp/observer.ts';
import type { AddressIndex } from './address-index.ts';
import type { DirectPorts } from './direct-ports.ts';

export interface OutboundDeps {
  readonly proxy: ExchangeDeps;
  readonly credentials: ClientCredentials;
  readonly connections: DownstreamConnections;
  readonly log: Logger;
  /** Of waits for configuration and for what a silent connection is. */
  readonly timers: Timers;
  /** Unix ms. */
  readonly wallClock: () => number;
  /** The handle of a Service port; the same for ever. */
  port(ref: ServicePortRef): PortHandle;
  /**
   * Resolves when the Service's configuration is here or it is known not to exist.
   * @param service "<namespace>/<name>"
   */
  want(service: string): Promise<unknown>;
  readonly tcp: TcpObserver;
  detected(outcome: DetectionOutcome): void;
  /** An HTTP/2 connection of the application ended. */
  closed(reason: string): void;
  /** The control plane answers. */
  connected(): boolean;
  /**
   * Connections to this port are passed as TCP without a look at what they carry.
   * @param isDeclared a Service or a route says what is spoken there: that is nearer than a list of usual ports
   */
  isOpaque(port: number, isDeclared: boolean): boolean;
  /** The address to come from when this is our own pod (pod/capture/rules.ts); undefined: it is another. */
  hairpin(address: string): string | undefined;
}

/** What captured connections need besides. */
export interface CapturedOutboundDeps extends OutboundDeps {
  readonly addresses: AddressIndex;
  readonly directs: DirectPorts;
  /** No pod can have this address; see outside.ts. */
  isOutside(address: string): boolean;
}
