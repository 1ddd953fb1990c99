// The client's end of an HTTP/1.1 connection: one request at a time to an endpoint, kept for the next one.
import type { Buffers } from '../http/buffers.ts';
import type { Clock } from '../http/clock.ts';
import type { ConnectedEndpoint, ConnectionOwner, MessageConnection } from '../http/connection.ts';
import { type Field, makeField } from '../http/field.ts';
import { HeaderBlock, Template } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { CANCEL, ENHANCE_YOUR_CALM, PROTOCOL_ERROR } from '../http/reset-code.ts';
import type { StreamHandler } from '../http/stream.ts';
import type { Duplex } from '../http/transport.ts';
import { TurnConnection } from './connection.ts';
import { contentLengthIn, targetIn, varyingFault, type WrittenHead, writeSection, writtenRequest } from './head-writer.ts';
import { MAX_INFORMATIONAL_RESPONSES } from './limits.ts';
import type { Head, MessageFault } from './message.ts';
import { type AnsweredRequest, ResponseHeads } from './response-head.ts';
import type { Section } from './section.ts';
import { Turn } from './turn.ts';

/** Methods that may be sent again when nothing of an answer came (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** Methods whose content is expected: without any it is announced as empty (RFC 9110 §8.6). */
const WITH_CONTENT: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Our answer to a request that has no form in HTTP/1.1: nothing of it was sent. */
const NOT_SENT = new HeaderBlock(new Template([makeField(':status', '400', false, 1)]), [], false);

export class ClientConnection extends TurnConnection implements MessageConnection {
  private readonly heads: ResponseHeads;
  private asked: AnsweredRequest = { head: false, upgrade: '' };
  private method = '';
  private requests = 0;
  private informational = 0;
  private keepsAlive = true;
  /** Something of the answer has come. */
  private heard = false;
  /** Writes of the output when the request was handed to it. */
  private flushesBefore = 0;

  constructor(transport: Duplex, owner: ConnectionOwner, clock: Clock, endpoint: ConnectedEndpoint, buffers: Buffers) {
    super(transport, owner, clock, endpoint.key, buffers, false);
    this.heads = new ResponseHeads(this.interned);
  }

  get used(): boolean {
    return this.requests > 0;
  }

  get canOpen(): boolean {
    // What a slow client has not taken of the answer before would be in the way of the next one.
    return this.turn === null && this.held === 0 && !this.draining && !this.stopped && !this.output.full;
  }

  // === Requests

  open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): Turn {
    const head = writtenRequest(source);
    const turn = new Turn(this, handler, head.upgrade);
    const target = targetIn(source, varying);
    if ((head.fault || varyingFault(varying)) !== '' || target === '') {
      this.answerUnsent(turn);
      return turn;
    }
    this.turn = turn;
    this.requests++;
    this.method = head.method;
    this.asked = { head: head.method === 'HEAD', upgrade: head.upgrade };
    this.informational = 0;
    this.heard = false;
    this.keepsAlive = true;
    this.reader.next();
    writeSection(this.output, `${head.method} ${target}`, head.octets, varying, this.linesFor(head, varying, endStream));
    this.flushesBefore = this.output.flushes;
    if (endStream) this.content.end();
    return turn;
  }

  /** The fields of the connection and the framing. */
  private linesFor({ method, upgrade }: WrittenHead, varying: readonly Field[], endStream: boolean): string {
    const length = contentLengthIn(varying);
    if (upgrade !== '') {
      this.content.begin('tunnel', 0);
      return `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
    }
    if (length >= 0) {
      this.content.begin('length', length);
      return `Content-Length: ${length}\r\n`;
    }
    this.content.begin(endStream ? 'none' : 'chunked', 0);
    if (!endStream) return 'Transfer-Encoding: chunked\r\n';
    return WITH_CONTENT.has(method) ? 'Content-Length: 0\r\n' : '';
  }

  /** The answer comes later, as any other does. */
  private answerUnsent(turn: Turn): void {
    setImmediate(() => {
      if (turn.closed) return;
      turn.remoteClosed = true;
      turn.closed = true;
      turn.handler.onHeaders(turn, NOT_SENT, true);
    });
  }

  sendHeaders(): void {
    throw new Error('a request has its headers from the start');
  }

  queuedOf(turn: Turn): number {
    return this.turn === turn ? this.content.queuedOctets : 0;
  }

  override sendData(turn: Turn, buf: Buffer, start: number, end: number, endStream: boolean): number {
    // The endpoint has answered before it had the whole request, or it has not switched.
    if (this.turn !== turn) return end - start;
    return super.sendData(turn, buf, start, end, endStream);
  }

  protected localEnd(isWhole: boolean): void {
    const turn = this.turn!;
    turn.localClosed = true;
    if (!isWhole) return this.cut('the content is shorter than its content-length');
    if (this.content.framing === 'tunnel') this.output.end();
    if (turn.remoteClosed) this.turnOver();
  }

  /** A message of HTTP/1.1 cannot be taken back: the connection goes with it. */
  reset(turn: Turn): void {
    if (turn.closed) return;
    turn.closed = true;
    if (this.turn !== turn) return;
    this.content.drop();
    this.endTurn();
    this.release(turn);
    this.cut('cancelled');
  }

  // === Answers

  readHead(section: Section): Head | MessageFault {
    return this.heads.read(section, this.asked);
  }

  onHead(head: Head): void {
    const turn = this.turn!;
    const { block, framing } = head;
    this.heard = true;
    if (block.template.status < 200) {
      if (++this.informational > MAX_INFORMATIONAL_RESPONSES) return this.breakTurn('too many informational responses', false);
      this.reader.next();
      return turn.handler.onHeaders(turn, block, false);
    }
    turn.isAnswered = true;
    this.keepsAlive = head.keepsAlive && head.upgrade === '' && turn.upgrade === '';
    if (head.upgrade !== '') this.reader.openTunnel();
    // What was meant for another protocol is not sent in this one.
    else if (turn.upgrade !== '') turn.localClosed = true;
    const endStream = framing === 'none';
    turn.remoteClosed = endStream;
    turn.handler.onHeaders(turn, block, endStream);
    if (endStream) this.remoteEnd();
  }

  onFault({ reason, isTooLarge }: MessageFault): void {
    this.breakTurn(reason, isTooLarge);
  }

  /** The endpoint breaks a rule: nothing of what follows can be trusted. */
  private breakTurn(reason: string, isTooLarge: boolean): void {
    const { turn } = this;
    if (turn !== null) {
      this.content.drop();
      this.endTurn();
      this.release(turn);
    }
    this.finish(reason);
    if (turn === null) return;
    const [code, cause] = isTooLarge ? ([ENHANCE_YOUR_CALM, 'too_large'] as const) : ([PROTOCOL_ERROR, 'malformed'] as const);
    turn.handler.onReset(turn, code, cause, true, reason);
  }

  protected mayReadOn(): boolean {
    if (this.turn !== null) return false; // a switch that is not decided
    this.finish('octets without a request');
    return false;
  }

  protected remoteEnd(): void {
    const { turn } = this;
    if (turn === null) return;
    if (turn.localClosed) this.turnOver();
  }

  /** Both messages are whole. */
  private turnOver(): void {
    this.endTurn();
    if (!this.keepsAlive || this.draining || this.peerEnded) this.end('answered');
    else if (this.canOpen) this.owner.onCapacity(this);
  }

  protected peerLeft(isWhole: boolean): void {
    const { turn } = this;
    // The end of the connection was the end of the answer, and has been passed on.
    if (isWhole && (turn === null || turn.remoteClosed)) {
      if (turn === null) this.end('closed by the endpoint');
      return;
    }
    this.finish('closed by the endpoint');
  }

  protected lose(turn: Turn, reason: string): void {
    if (turn.remoteClosed) return;
    // A kept connection may have ended before the endpoint saw the request (RFC 9112 §9.3.1).
    const isStale = this.requests > 1 && !this.heard && IDEMPOTENT.has(this.method);
    const isUnsent = this.output.flushes === this.flushesBefore;
    turn.handler.onReset(turn, CANCEL, 'connection', !isStale && !isUnsent, reason);
  }

  protected hasRoom(): void {
    if (this.canOpen) this.owner.onCapacity(this);
  }
}
