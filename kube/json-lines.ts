// Cuts the stream of a watch into its lines: one JSON event each, whatever the chunks it comes in.
import { KubeError } from './api.ts';

/** An object in etcd has 1.5 MB at most by default; operators raise that to 8 or 16. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const LINE_END = 0x0a;

export interface WatchEvent {
  readonly type: string;
  readonly object: Record<string, unknown>;
}

export class JsonLines {
  private readonly what: string;
  private begun: Buffer[] = [];
  private begunBytes = 0;
  private rest: Buffer = Buffer.alloc(0);

  /** @param what the call, for messages */
  constructor(what: string) {
    this.what = what;
  }

  /** Takes what came; call next() until it gives null before pushing more. */
  push(chunk: Buffer): void {
    this.rest = chunk;
  }

  /**
   * The next event; null: none is complete; an error: the line is not an event, and the stream cannot be followed
   * further.
   */
  next(): WatchEvent | KubeError | null {
    for (;;) {
      const at = this.rest.indexOf(LINE_END);
      if (at === -1) return this.keep();
      const line = this.begunBytes === 0 ? this.rest.subarray(0, at) : Buffer.concat([...this.begun, this.rest.subarray(0, at)]);
      this.begun = [];
      this.begunBytes = 0;
      this.rest = this.rest.subarray(at + 1);
      if (line.length > 0) return this.parse(line.toString('utf8'));
    }
  }

  /** What is wrong with a stream that ended here; undefined: nothing. */
  atEnd(): KubeError | undefined {
    if (this.begunBytes === 0) return undefined;
    return new KubeError(`${this.what}: ended in the middle of a line of ${this.begunBytes} bytes`, 200, 'Truncated');
  }

  private keep(): KubeError | null {
    if (this.rest.length > 0) this.begun.push(this.rest);
    this.begunBytes += this.rest.length;
    this.rest = Buffer.alloc(0);
    if (this.begunBytes <= MAX_LINE_BYTES) return null;
    return new KubeError(`${this.what}: a line is longer than ${MAX_LINE_BYTES} bytes`, 200, 'ResponseTooLarge');
  }

  private parse(line: string): WatchEvent | KubeError {
    let event: unknown;
    try {
      event = JSON.parse(line);
    } catch (error) {
      return new KubeError(`${this.what}: a line is not JSON: ${(error as Error).message}`, 200, 'InvalidAnswer');
    }
    if (isRecord(event) && typeof event.type === 'string' && isRecord(event.object)) return { type: event.type, object: event.object };
    return new KubeError(`${this.what}: a line is not a watch event: ${line.slice(0, 100)}`, 200, 'InvalidAnswer');
  }
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
