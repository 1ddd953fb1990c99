// A connection whose client kept silent, joined to its server: what speaks first decides what it is. So a server that
// speaks first is heard, and a client that speaks HTTP late is served all the same.
import type { Timers } from '#core/program/timers.ts';
import { DETECTION_MS } from '../http/limits.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import { detectServer } from '../link/detect.ts';
import { Look, type LookResult } from '../link/look.ts';

export interface UndecidedResult {
  /** The two are to be joined now, by relay(). @param first of the client */
  join(first: Buffer): void;
  /** The client is to be served; the server is gone. @param first octets of the client, perhaps none */
  serve(protocol: 'http1' | 'http2', first: Buffer): void;
  /** Neither may go on; called before or after join(). @param reason for people */
  refused(reason: string): void;
}

/** Exactly one function of the result is called, later; refused() also after join(). */
export function joinUndecided(client: ByteStream, server: ByteStream, timers: Timers, result: UndecidedResult): void {
  let heard = Buffer.alloc(0);
  let cancelTimer = (): void => {};
  const release = (): void => {
    look.stop();
    cancelTimer();
  };
  const join = (first: Buffer): void => {
    release();
    result.join(first);
    if (heard.length > 0) server.onBytes(heard, heard.length);
  };
  const joinUnderWatch = (): void => {
    const { octets } = look;
    join(Buffer.alloc(0));
    watch(client, octets, timers, (reason) => result.refused(reason));
  };
  const serve = (protocol: 'http1' | 'http2', first: Buffer): void => {
    release();
    server.onBytes = () => {};
    server.onEnd = () => {};
    server.onClosed = () => {};
    server.destroy();
    result.serve(protocol, first);
  };
  const look = new Look(timers, DETECTION_MS, {
    found: (protocol, first) => (protocol === 'http1' || protocol === 'http2' ? serve(protocol, first) : join(first)),
    refused: (reason) => {
      release();
      result.refused(reason);
    },
  });
  client.onBytes = (buf, length) => look.take(buf, length);
  client.onEnd = () => look.end();
  client.onClosed = (reason) => {
    join(Buffer.alloc(0));
    client.onClosed(reason);
  };
  server.onBytes = (buf, length) => {
    const isFirst = heard.length === 0;
    heard = Buffer.concat([heard, buf.subarray(0, length)]);
    const speaks = detectServer(heard);
    if (speaks === 'http2') serve('http2', look.octets);
    else if (speaks === 'other') joinUnderWatch();
    else if (isFirst) cancelTimer = timers.after(DETECTION_MS, joinUnderWatch);
  };
  server.onEnd = joinUnderWatch;
  server.onClosed = (reason) => {
    join(Buffer.alloc(0));
    server.onClosed(reason);
  };
  // A side that ended before does not report it again.
  if (client.ended) look.end();
  else if (server.ended) joinUnderWatch();
}

/**
 * Looks at the first octets of a client whose server has spoken: it cannot be served as HTTP/2 any more, and the
 * preface does not pass.
 * @param client joined to its server by relay()
 * @param held what it has sent so far, which has not been passed on
 */
function watch(client: ByteStream, held: Buffer, timers: Timers, refused: (reason: string) => void): void {
  const { onBytes, onEnd, onClosed } = client;
  let isRefused = false;
  const refuse = (reason: string): void => {
    isRefused = true;
    client.onBytes = () => {};
    client.onEnd = () => {};
    refused(reason);
  };
  const result: LookResult = {
    found: (protocol, first) => {
      if (protocol === 'http2') return refuse('HTTP/2 preface after the server has spoken');
      client.onBytes = onBytes;
      client.onEnd = onEnd;
      if (first.length > 0) onBytes(first, first.length);
    },
    refused: refuse,
  };
  const look = new Look(timers, DETECTION_MS, result, false);
  client.onBytes = (buf, length) => look.take(buf, length);
  client.onEnd = () => {
    look.end();
    if (!isRefused) onEnd();
  };
  client.onClosed = (reason) => {
    look.stop();
    onClosed(reason);
  };
  if (held.length > 0) look.take(held, held.length);
}
