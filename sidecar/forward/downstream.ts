// The owner of the connections that clients opened: it turns each request into an exchange.
import type { HeaderBlock } from '../http/header-block.ts';
import type { Connection, ConnectionOwner } from '../http2/connection.ts';
import type { Stream, StreamHandler } from '../http2/stream.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeDeps, PortHandle } from './exchange-deps.ts';

/** Owner of the connections that one peer opened to one listener. */
export class DownstreamOwner implements ConnectionOwner {
  private readonly deps: ExchangeDeps;
  private readonly port: PortHandle;
  private readonly gone: (connection: Connection, reason: string) => void;

  /** @param gone called when one of the connections has ended @param port read at each request */
  constructor(deps: ExchangeDeps, port: PortHandle, gone: (connection: Connection, reason: string) => void) {
    this.deps = deps;
    this.port = port;
    this.gone = gone;
  }

  onRequest(stream: Stream, block: HeaderBlock, endStream: boolean): StreamHandler {
    const exchange = new Exchange(this.deps, stream, block, endStream);
    exchange.start(this.port.current);
    return exchange;
  }

  onCapacity(): void {}

  onClosed(connection: Connection, reason: string): void {
    this.gone(connection, reason);
  }
}
