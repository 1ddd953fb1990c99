// The client's end of HTTP/1.1: a connection to an endpoint, over a transport that was dialled.
import type { Buffers } from '../http/buffers.ts';
import type { ClientCodec } from '../http/connection.ts';
import { ClientConnection } from './client-connection.ts';

/** @param buffers the account of all connections of the sidecar */
export function http1Client(buffers: Buffers): ClientCodec {
  return (transport, owner, clock, endpoint) => new ClientConnection(transport, owner, clock, endpoint, buffers);
}
