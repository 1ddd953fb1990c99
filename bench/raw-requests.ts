// Requests over one HTTP/1.1 connection, one after the other, by hand, so that the client is not slower than what it
// measures: of an answer only status and length are looked at.
import net from 'node:net';
import type { Header } from './header-block.ts';
import type { Calls } from './raw-calls.ts';

const END_OF_HEAD = Buffer.from('\r\n\r\n');
const GOOD = Buffer.from('HTTP/1.1 200 ');
const CONTENT_LENGTH = /\r\ncontent-length: *([0-9]+)\r\n/i;

export class RawRequests {
  private readonly socket: net.Socket;
  private readonly calls: Calls;
  private startedAt = 0;
  private waits = false;
  private held: Buffer = Buffer.alloc(0);

  /** Connects and begins. */
  constructor(host: string, port: number, calls: Calls) {
    this.calls = calls;
    this.socket = net.connect({ host, port, noDelay: true });
    this.socket.on('data', (chunk) => this.received(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.lost());
    this.send();
  }

  stop(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  private send(): void {
    const headers = this.calls.next();
    this.waits = headers !== null;
    if (headers === null) return;
    this.startedAt = performance.now();
    this.socket.write(headOf(headers), 'latin1');
  }

  private received(chunk: Buffer): void {
    this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    const head = this.held.indexOf(END_OF_HEAD);
    if (head === -1) return;
    const length = CONTENT_LENGTH.exec(this.held.latin1Slice(0, head + 2));
    if (length === null) return void this.socket.destroy();
    const end = head + END_OF_HEAD.length + Number(length[1]);
    if (this.held.length < end) return;
    const isWhole = this.held.length === end && Number(length[1]) > 0;
    const ok = isWhole && this.held.subarray(0, GOOD.length).equals(GOOD);
    this.held = Buffer.alloc(0);
    this.calls.ended(performance.now() - this.startedAt, ok);
    this.send();
  }

  /** A connection that ends takes its request with it, and begins no further ones. */
  private lost(): void {
    if (this.waits) this.calls.ended(performance.now() - this.startedAt, false);
    while (this.calls.next() !== null) this.calls.ended(0, false);
  }
}

/** @param headers with `:method` and `:path` first */
function headOf(headers: readonly Header[]): string {
  let head = `${headers[0][1]} ${headers[1][1]} HTTP/1.1\r\n`;
  for (let i = 2; i < headers.length; i++) head += `${headers[i][0]}: ${headers[i][1]}\r\n`;
  return `${head}\r\n`;
}
