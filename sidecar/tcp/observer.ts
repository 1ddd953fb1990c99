// Connections that are passed as TCP, as those see them who count and report them.
import type { CallOrigin } from '../forward/outcome.ts';
import type { ServicePortRef } from '../route/records.ts';

export interface TcpConnection {
  readonly origin: CallOrigin;
  /** What was called. */
  readonly service: ServicePortRef;
  /** Where it goes; identity: SPIFFE id, '' in plaintext. */
  readonly endpoint: { readonly address: string; readonly port: number; readonly identity: string };
}

export interface TcpObserver {
  /** It is joined to its endpoint. @returns to be called at its end, with the octets to and from the endpoint */
  opened(connection: TcpConnection): (sent: number, received: number) => void;
  /** There was no endpoint, or it could not be reached and no other will be tried. @param error label @param reason the same for people */
  failed(
    connection: Omit<TcpConnection, 'endpoint'> & { readonly endpoint: TcpConnection['endpoint'] | null },
    error: string,
    reason: string,
  ): void;
}
