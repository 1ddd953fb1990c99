// The server's end of HTTP/2: a connection that a client opened, from its preface on.
import type { ServerCodec } from '../http/connection.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import { Connection } from './connection.ts';

/** HTTP/2 with prior knowledge (RFC 9113 §3.3). */
export const http2Server: ServerCodec = (transport, owner, clock, peer, buffers) => {
  const connection = new Connection(transport, owner, clock, {
    client: false,
    trusted: peer.trusted,
    maxPeerStreams: peer.maxStreams,
    peer: peer.key,
    buffers,
  });
  let matched = 0;
  transport.onBytes = (buf, length) => {
    let pos = 0;
    while (matched < HTTP2_PREFACE.length && pos < length) {
      if (buf[pos++] !== HTTP2_PREFACE[matched++]) return connection.destroy('no HTTP/2 preface');
    }
    if (matched < HTTP2_PREFACE.length) return;
    transport.onBytes = (more, octets) => connection.receive(more, 0, octets);
    if (pos < length) connection.receive(buf, pos, length);
  };
  transport.onEnd = () => connection.transportClosed('closed by the peer');
  transport.onClosed = (reason) => connection.transportClosed(reason);
  return connection;
};
