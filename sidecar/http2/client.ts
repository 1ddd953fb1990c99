// The client's end of HTTP/2: a connection to an endpoint, over a transport that was dialled.

import type { Buffers } from '../http/buffers.ts';
import type { ClientCodec } from '../http/connection.ts';
import { Connection } from './connection.ts';

/** HTTP/2 with prior knowledge (RFC 9113 §3.3). @param buffers the account of all connections of the sidecar */
export function http2Client(buffers: Buffers): ClientCodec {
  return (transport, owner, clock, endpoint) => {
    const connection = new Connection(transport, owner, clock, {
      client: true,
      trusted: endpoint.identity !== '',
      maxPeerStreams: 0,
      peer: endpoint.key,
      buffers,
    });
    transport.onBytes = (buf, length) => connection.receive(buf, 0, length);
    transport.onEnd = () => connection.transportClosed('closed by the endpoint');
    transport.onClosed = (reason) => connection.transportClosed(reason);
    return connection;
  };
}
