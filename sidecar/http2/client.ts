// The client's end of HTTP/2: a connection to an endpoint, over a transport that was dialled.
import type { ClientCodec } from '../http/connection.ts';
import { Connection } from './connection.ts';

/** HTTP/2 with prior knowledge (RFC 9113 §3.3). */
export const connectHttp2: ClientCodec = (transport, owner, clock) => {
  const connection = new Connection(transport, owner, clock, { client: true, maxPeerStreams: 0 });
  transport.onBytes = (buf, length) => connection.receive(buf, 0, length);
  transport.onEnd = () => connection.transportClosed('closed by the endpoint');
  transport.onClosed = (reason) => connection.transportClosed(reason);
  return connection;
};
