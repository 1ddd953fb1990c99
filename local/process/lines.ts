// Cuts a process's output into lines.

/** A line without end must not grow without bound: it is cut here. */
export const LONGEST_LINE = 16_384;

/**
 * Collects chunks; calls `onLine` for each full line, and for the rest at `end()`. Carriage returns at the end are
 * dropped.
 */
export class LineSplitter {
  private rest = '';
  private readonly onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.onLine = onLine;
  }

  push(chunk: string): void {
    const parts = (this.rest + chunk).split('\n');
    this.rest = parts.pop()!;
    for (const part of parts) this.emit(part);
    while (this.rest.length > LONGEST_LINE) {
      this.emit(this.rest.slice(0, LONGEST_LINE));
      this.rest = this.rest.slice(LONGEST_LINE);
    }
  }

  end(): void {
    if (this.rest !== '') this.emit(this.rest);
    this.rest = '';
  }

  private emit(line: string): void {
    this.onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
  }
}
