// What forwarding needs from its surroundings, and the owner of a downstream connection: it turns each request into an exchange.
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner } from '../http/connection.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { StreamHandler } from '../http/stream.ts';
import type { Connection } from '../http2/connection.ts';
import type { Stream } from '../http2/stream.ts';
import type { CompiledPort } from '../route/records.ts';
import type { DeadlineWheel } from './deadlines.ts';
import type { CallOrigin, CallTelemetry } from './ended-call.ts';
import { Exchange } from './exchange.ts';
import type { ReplayRing } from './replay.ts';
import type { SeriesSource } from './series.ts';
import type { Upstreams } from './upstreams.ts';

export interface ProxyContext {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly upstreams: Upstreams;
  readonly deadlines: DeadlineWheel;
  readonly stats: SeriesSource;
  readonly origin: CallOrigin;
  readonly telemetry: CallTelemetry;
  readonly replay: ReplayRing;
  /** The peer is a sidecar: when the application is not there it gets REFUSED_STREAM and tries another endpoint. */
  readonly refuseUnprocessed: boolean;
}

/** Where a listener's configuration stands now; `current` is swapped when a new one is in force. */
export interface PortHandle {
  current: CompiledPort | null;
}

/** Owner of the connections that one peer opened to one listener. */
export class DownstreamOwner implements ConnectionOwner {
  private readonly proxy: ProxyContext;
  private readonly port: PortHandle;
  private readonly gone: (connection: Connection, reason: string) => void;

  constructor(proxy: ProxyContext, port: PortHandle, gone: (connection: Connection, reason: string) => void) {
    this.proxy = proxy;
    this.port = port;
    this.gone = gone;
  }

  onRequest(stream: Stream, block: HeaderBlock, endStream: boolean): StreamHandler {
    const exchange = new Exchange(this.proxy, stream, block, endStream);
    exchange.start(this.port.current);
    return exchange;
  }

  onCapacity(): void {}

  onClosed(connection: Connection, reason: string): void {
    this.gone(connection, reason);
  }
}
