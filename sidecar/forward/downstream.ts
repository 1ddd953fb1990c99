// The owner of the connections that clients opened: it turns each request into an exchange.

import type { ConnectionOwner, MessageConnection, RefusalCause } from '../http/connection.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { MessageStream, StreamHandler } from '../http/stream.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeDeps, PortHandle } from './exchange-deps.ts';
import { settleRefused } from './refused.ts';

/** Owner of the connections that one peer opened to one listener. */
export class DownstreamOwner implements ConnectionOwner {
  private readonly deps: ExchangeDeps;
  private readonly port: PortHandle;
  private readonly gone: (connection: MessageConnection, reason: string) => void;

  /** @param gone called when one of the connections has ended @param port read at each request */
  constructor(deps: ExchangeDeps, port: PortHandle, gone: (connection: MessageConnection, reason: string) => void) {
    this.deps = deps;
    this.port = port;
    this.gone = gone;
  }

  onRequest(stream: MessageStream, block: HeaderBlock, endStream: boolean): StreamHandler {
    const exchange = new Exchange(this.deps, stream, block, endStream);
    exchange.start(this.port.current);
    return exchange;
  }

  onRefused(cause: RefusalCause, reason: string, block: HeaderBlock, stream: MessageStream | null): void {
    settleRefused(this.deps, this.port.current, { cause, reason, block, stream });
  }

  onCapacity(): void {}

  onClosed(connection: MessageConnection, reason: string): void {
    this.gone(connection, reason);
  }
}
