// The end of a connection that is refused before it carried a call: counted, logged, and reset.
import type { Logger } from '#core/program/log.ts';
import type { ExchangeDeps } from '../forward/exchange-deps.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ServicePortRef } from '../route/records.ts';
import type { TcpObserver } from './observer.ts';

export interface RefusalDeps {
  readonly tcp: TcpObserver;
  readonly log: Logger;
}

/**
 * @param service what was called
 * @param label docs/reference/errors.md
 * @param reason the same in words
 * @param level of the line in the log
 */
export function refuseConnection(
  { tcp, log }: RefusalDeps,
  { stats, origin }: ExchangeDeps,
  stream: ByteStream,
  service: ServicePortRef,
  label: string,
  reason: string,
  level: 'info' | 'debug' = 'info',
): void {
  stats.proxyError(label);
  log[level]('connection refused', { direction: origin.direction, service: service.key, error: label, reason });
  tcp.failed({ origin, service, endpoint: null }, label, reason);
  stream.reset();
}
