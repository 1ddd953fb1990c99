// The server's end of an HTTP/1.1 connection: requests are answered one after the other, in their order, however many a
// client sends ahead.
import type { Buffers } from '../http/buffers.ts';
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner, ServedConnection } from '../http/connection.ts';
import type { Field } from '../http/field.ts';
import { HeaderBlock, Template } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { ConnectionPeer } from '../http/peer.ts';
import { CANCEL, PROTOCOL_ERROR, REFUSED_STREAM } from '../http/reset-code.ts';
import type { Duplex } from '../http/transport.ts';
import { NOTHING, TurnConnection } from './connection.ts';
import { contentLengthIn, statusLine, varyingFault, writeSection, writtenFields } from './head-writer.ts';
import type { Head, MessageFault } from './message.ts';
import { RequestHeads } from './request-head.ts';
import type { Section } from './section.ts';
import { NO_HANDLER, Turn } from './turn.ts';

/** What is said of a request that could not be read. */
const UNREAD: Head = {
  block: new HeaderBlock(new Template([]), [], false),
  framing: 'none',
  length: 0,
  keepsAlive: false,
  isOld: false,
  upgrade: '',
};

export class ServerConnection extends TurnConnection implements ServedConnection {
  readonly used = false;
  readonly canOpen = false;
  private readonly heads: RequestHeads;
  /** Of the request that is answered. */
  private request: Head = UNREAD;
  private keepsAlive = true;

  constructor(transport: Duplex, owner: ConnectionOwner, clock: Clock, peer: ConnectionPeer, buffers: Buffers) {
    super(transport, owner, clock, peer.key, buffers, true);
    this.heads = new RequestHeads(this.interned);
    this.reader.next();
  }

  open(): Turn {
    throw new Error('a server opens no streams');
  }

  dismiss(reason: string): void {
    this.end(reason);
  }

  turnAway(reason: string): void {
    this.end(reason);
  }

  // === Requests

  readHead(section: Section): Head | MessageFault {
    return this.heads.read(section);
  }

  onHead(head: Head): void {
    const turn = this.beginTurn(head);
    const endStream = head.framing === 'none';
    turn.remoteClosed = endStream;
    turn.handler = this.owner.onRequest(turn, head.block, endStream);
    if (endStream) this.remoteEnd();
  }

  private beginTurn(head: Head): Turn {
    const turn = new Turn(this, NO_HANDLER, head.upgrade);
    this.turn = turn;
    this.request = head;
    this.keepsAlive = head.keepsAlive && head.block.template.method !== 'CONNECT';
    return turn;
  }

  onFault(fault: MessageFault): void {
    const { turn } = this;
    if (turn === null) return this.refuse(fault);
    this.keepsAlive = false;
    turn.handler.onReset(turn, PROTOCOL_ERROR, fault.isTooLarge ? 'too_large' : 'malformed', true, fault.reason);
    this.giveUp(turn, fault.reason);
  }

  /** A request that is none: it is answered, and the connection ends, because nobody knows where the next one begins. */
  private refuse({ reason, isTooLarge }: MessageFault): void {
    const block = new HeaderBlock(new Template([]), [], isTooLarge);
    const turn = this.beginTurn({ ...UNREAD, block });
    turn.remoteClosed = true;
    if (isTooLarge) turn.handler = this.owner.onRequest(turn, block, true);
    else this.owner.onRefused('malformed', reason, block, turn);
    this.giveUp(turn, reason);
  }

  /** What can be said of a turn was said. */
  private giveUp(turn: Turn, reason: string): void {
    const isWhole = turn.localClosed;
    if (this.turn === turn) this.dropTurn(turn);
    if (isWhole) this.end(reason);
    else this.cut(reason);
  }

  protected mayReadOn(): boolean {
    // Answers that are not read are no reason to make more of them.
    if (this.turn !== null || this.draining || this.output.full) return false;
    this.reader.next();
    return true;
  }

  protected peerLeft(isWhole: boolean): void {
    const { turn } = this;
    if (turn === null) return isWhole ? this.end('closed by the peer') : this.finish('closed by the peer');
    // A client that ended its half may still want its answer; one that left a request unfinished does not.
    if (!turn.remoteClosed) this.finish('closed by the peer');
  }

  protected lose(turn: Turn, reason: string): void {
    if (!turn.localClosed || !turn.remoteClosed) turn.handler.onReset(turn, CANCEL, 'connection', true, reason);
  }

  protected hasRoom(): void {
    if (this.turn === null) this.readOn();
  }

  // === Answers

  sendHeaders(turn: Turn, source: HeaderSource, varying: readonly Field[], endStream: boolean): void {
    if (turn.closed || turn.localClosed || turn.isAnswered) return;
    const head = writtenFields(source);
    if (head.status < 200) return this.sendInformational(head.status, head.octets, varying);
    turn.isAnswered = true;
    // What HTTP/2 let in must not become another message here.
    if ((head.fault || varyingFault(varying)) !== '') return this.sendBadGateway(turn);
    if (head.isSwitch && turn.upgrade !== '') return this.switchProtocols(turn, head.octets, varying);
    if (turn.upgrade !== '') this.refuseSwitch(turn);
    const length = contentLengthIn(varying);
    const isBare = this.request.block.template.method === 'HEAD' || head.status === 204 || head.status === 304;
    let lines = '';
    if (isBare) {
      this.content.begin('none', 0);
      if (length >= 0 && head.status !== 204) lines = `Content-Length: ${length}\r\n`;
    } else if (endStream || length >= 0) {
      this.content.begin('length', Math.max(length, 0));
      lines = `Content-Length: ${Math.max(length, 0)}\r\n`;
    } else if (this.request.isOld) {
      this.content.begin('until close', 0);
      this.keepsAlive = false;
    } else {
      this.content.begin('chunked', 0);
      lines = 'Transfer-Encoding: chunked\r\n';
    }
    if (this.draining || (endStream && !turn.remoteClosed)) this.keepsAlive = false;
    if (!this.keepsAlive) lines += 'Connection: close\r\n';
    else if (this.request.isOld) lines += 'Connection: keep-alive\r\n';
    writeSection(this.output, statusLine(head.status), head.octets, varying, lines);
    if (endStream) this.content.end();
  }

  /** HTTP/1.0 knows none (RFC 9110 §15.2). */
  private sendInformational(status: number, octets: Buffer, varying: readonly Field[]): void {
    if (!this.request.isOld && varyingFault(varying) === '') writeSection(this.output, statusLine(status), octets, varying, '');
  }

  private switchProtocols(turn: Turn, octets: Buffer, varying: readonly Field[]): void {
    this.keepsAlive = false;
    this.content.begin('tunnel', 0);
    writeSection(this.output, statusLine(101), octets, varying, `Connection: Upgrade\r\nUpgrade: ${turn.upgrade}\r\n`);
    this.reader.openTunnel();
    this.readOn();
  }

  /** The request has no content, and nothing will follow it. */
  private refuseSwitch(turn: Turn): void {
    turn.remoteClosed = true;
    this.keepsAlive = false;
  }

  private sendBadGateway(turn: Turn): void {
    this.keepsAlive = false;
    this.content.begin('length', 0);
    writeSection(this.output, statusLine(502), NOTHING, [], 'Content-Length: 0\r\nConnection: close\r\n');
    this.content.end();
    turn.handler.onReset(turn, PROTOCOL_ERROR, 'malformed', true, 'the answer has no form in HTTP/1.1');
  }

  queuedOf(): number {
    return this.content.queuedOctets;
  }

  /** What is not whole must not look so: its connection is cut. An answer that has not begun becomes one without content. */
  reset(turn: Turn, code: number): void {
    if (turn.closed) return;
    if (!turn.isAnswered) {
      this.keepsAlive = false;
      turn.isAnswered = true;
      this.content.begin('length', 0);
      const status = statusLine(code === REFUSED_STREAM ? 503 : 502);
      writeSection(this.output, status, NOTHING, [], 'Content-Length: 0\r\nConnection: close\r\n');
      this.content.end();
    }
    if (turn.closed) return;
    const isWhole = turn.localClosed;
    this.dropTurn(turn);
    if (isWhole) this.end('answered before the request had ended');
    else this.cut('reset');
  }

  /** Ends a turn that its handler, or the codec, has given up. */
  private dropTurn(turn: Turn): void {
    this.content.drop();
    this.endTurn();
    this.release(turn);
  }

  protected localEnd(isWhole: boolean): void {
    const turn = this.turn!;
    turn.localClosed = true;
    if (!isWhole) {
      this.dropTurn(turn);
      return this.cut('the content is shorter than its content-length');
    }
    if (turn.remoteClosed) this.turnOver();
    else if (this.content.framing === 'tunnel') this.output.end();
  }

  protected remoteEnd(): void {
    const { turn } = this;
    if (turn?.localClosed === true) this.turnOver();
  }

  private turnOver(): void {
    this.endTurn();
    if (!this.keepsAlive || this.draining || (this.peerEnded && this.behind.length === 0)) this.end('answered');
    else this.readOn();
  }
}
