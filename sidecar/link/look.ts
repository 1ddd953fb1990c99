// The look at a client's first octets, until they show what it speaks. What has begun as the HTTP/2 preface ends as
// HTTP/2 or is refused: it is never passed on as octets, because routes and identity would not apply to it.
import type { Timers } from '#core/program/timers.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../http/limits.ts';
import { type Detected, detect, isHelloBegun, isPrefaceBegun } from './detect.ts';
import { isRequestBegun } from './detect-http1.ts';

export interface LookResult {
  /** @param first all octets so far */
  found(protocol: Exclude<Detected, 'malformed' | 'more'>, first: Buffer): void;
  /** @param reason for people */
  refused(reason: string): void;
}

const NONE = Buffer.alloc(0);

export class Look {
  private readonly timers: Timers;
  private readonly prefaceMs: number;
  private readonly result: LookResult;
  private readonly seeksHttp1: boolean;
  private held = NONE;
  private isOver = false;
  private cancelTimer = (): void => {};

  /**
   * @param prefaceMs from the first octet of the HTTP/2 preface, or of a word that may be a method, to the last; a
   * ClientHello has HANDSHAKE_TIMEOUT_MS
   * @param seeksHttp1 false: a word that may be a method is not waited for
   */
  constructor(timers: Timers, prefaceMs: number, result: LookResult, seeksHttp1 = true) {
    this.timers = timers;
    this.prefaceMs = prefaceMs;
    this.result = result;
    this.seeksHttp1 = seeksHttp1;
  }

  /** What the client has sent so far. */
  get octets(): Buffer {
    return this.held;
  }

  /** Takes octets 0 to length of buf, which is valid during the call. */
  take(buf: Buffer, length: number): void {
    if (this.isOver) return;
    const isFirst = this.held.length === 0;
    this.held = Buffer.concat([this.held, buf.subarray(0, length)]);
    let detected = detect(this.held);
    if (detected === 'more' && !this.seeksHttp1 && !isPrefaceBegun(this.held) && !isHelloBegun(this.held)) detected = 'tcp';
    if (detected === 'malformed') this.refuse('malformed HTTP/2 preface');
    else if (detected !== 'more') this.find(detected);
    else if (isFirst) this.startTimer();
  }

  /** The client has sent FIN. */
  end(): void {
    if (this.isOver) return;
    if (isPrefaceBegun(this.held)) this.refuse('the connection ended within the HTTP/2 preface');
    else this.find('tcp');
  }

  /** Forgets the client: nothing is reported any more. */
  stop(): void {
    this.isOver = true;
    this.cancelTimer();
  }

  private startTimer(): void {
    const isPreface = isPrefaceBegun(this.held);
    const ms = isPreface || !isHelloBegun(this.held) ? this.prefaceMs : HANDSHAKE_TIMEOUT_MS;
    this.cancelTimer = this.timers.after(ms, () => {
      if (isPreface) this.refuse(`the HTTP/2 preface was not complete within ${ms} ms`);
      else this.find(isRequestBegun(this.held) ? 'http1' : 'tcp');
    });
  }

  private find(protocol: Exclude<Detected, 'malformed' | 'more'>): void {
    this.stop();
    this.result.found(protocol, this.held);
  }

  private refuse(reason: string): void {
    this.stop();
    this.result.refused(reason);
  }
}
