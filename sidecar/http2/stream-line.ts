// A line of streams that wait for their turn to send. Its links are fields of the streams, so that joining and leaving
// cost nothing, and a stream that has closed is never left in it.
import type { Stream } from './stream.ts';

export class StreamLine {
  /** The stream whose turn it is; null: the line is empty. */
  head: Stream | null = null;
  private tail: Stream | null = null;

  /** Puts a stream that is in no line at the end. */
  push(stream: Stream): void {
    stream.line = this;
    stream.linePrevious = this.tail;
    if (this.tail === null) this.head = stream;
    else this.tail.lineNext = stream;
    this.tail = stream;
  }

  /** Takes out a stream that is in this line, wherever it stands. */
  remove(stream: Stream): void {
    const { linePrevious, lineNext } = stream;
    if (linePrevious === null) this.head = lineNext;
    else linePrevious.lineNext = lineNext;
    if (lineNext === null) this.tail = linePrevious;
    else lineNext.linePrevious = linePrevious;
    stream.line = null;
    stream.linePrevious = null;
    stream.lineNext = null;
  }
}
