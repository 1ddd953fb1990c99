// One request and its response on an HTTP/1.1 connection. There is one at a time; its connection does the work.
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { MessageStream, StreamHandler } from '../http/stream.ts';

/** What a stream's methods do; http/stream.ts says what each means. */
export interface TurnEnds {
  sendHeaders(turn: Turn, source: HeaderSource, varying: readonly Field[], endStream: boolean): void;
  sendData(turn: Turn, buf: Buffer, start: number, end: number, endStream: boolean): number;
  sendTrailers(turn: Turn, source: HeaderSource, varying: readonly Field[]): void;
  credit(turn: Turn, octets: number): void;
  reset(turn: Turn, code: number): void;
  release(turn: Turn): void;
  queuedOf(turn: Turn): number;
}

/** A stream of HTTP/1.1: the connection's turn of a request and its response. */
export class Turn implements MessageStream {
  readonly ends: TurnEnds;
  handler: StreamHandler;
  localClosed = false;
  remoteClosed = false;
  closed = false;
  head = false;
  /** The final response's head has gone out, or come. */
  isAnswered = false;
  /** Received octets that were not yet consumed. */
  held = 0;
  /** The protocol that the request asks to switch to; '': none. */
  readonly upgrade: string;

  constructor(ends: TurnEnds, handler: StreamHandler, upgrade: string) {
    this.ends = ends;
    this.handler = handler;
    this.upgrade = upgrade;
  }

  get queuedOctets(): number {
    return this.ends.queuedOf(this);
  }

  sendHeaders(source: HeaderSource, varying: readonly Field[], endStream: boolean): void {
    this.ends.sendHeaders(this, source, varying, endStream);
  }

  sendData(buf: Buffer, start: number, end: number, endStream: boolean): number {
    return this.ends.sendData(this, buf, start, end, endStream);
  }

  sendTrailers(source: HeaderSource, varying: readonly Field[]): void {
    this.ends.sendTrailers(this, source, varying);
  }

  credit(octets: number): void {
    this.ends.credit(this, octets);
  }

  reset(code: number): void {
    this.ends.reset(this, code);
  }

  release(): void {
    this.ends.release(this);
  }
}

/** The handler of a turn that is being opened or refused. */
export const NO_HANDLER: StreamHandler = { onHeaders() {}, onData() {}, onTrailers() {}, onReset() {}, onSent() {} };
