// The server's end of HTTP/1.1: a connection that a client opened, from its first request on.
import type { ServerCodec } from '../http/connection.ts';
import { ServerConnection } from './server-connection.ts';

export const http1Server: ServerCodec = (transport, owner, clock, peer, buffers) =>
  new ServerConnection(transport, owner, clock, peer, buffers);
