// Lines that are written together: their octets, and how many of them the reader has taken.

const LINE_END = 0x0a;

export interface Line {
  /** Without its end. */
  readonly text: string;
  /** Of the access log, not of the program's own. */
  readonly access: boolean;
}

/**
 * Writes a part of the octets at once.
 * @returns how many, 0 if the reader takes none now.
 * @throws the system's error when none ever will be taken
 */
export type WriteOctets = (octets: Buffer, from: number) => number;

export class LineBatch {
  readonly lines: readonly Line[];
  /** Of its lines, with their ends. */
  readonly chars: number;
  private readonly octets: Buffer;
  /** The octets begin with the end of a line that an error has cut off. */
  private readonly mends: boolean;
  private taken = 0;

  /** @param mends what was written last is not the end of a line: these must begin on a new one */
  constructor(lines: readonly Line[], mends: boolean) {
    const text = `${lines.map((line) => line.text).join('\n')}\n`;
    this.lines = lines;
    this.chars = text.length;
    this.octets = Buffer.from(mends ? `\n${text}` : text);
    this.mends = mends;
  }

  get isWritten(): boolean {
    return this.taken === this.octets.length;
  }

  /** Goes on writing. @returns whether the reader took anything @throws as `write` */
  write(write: WriteOctets): boolean {
    const octets = write(this.octets, this.taken);
    this.taken += octets;
    return octets > 0;
  }

  /** What was written so far ends within a line; undefined: nothing was. */
  get endsWithinLine(): boolean | undefined {
    return this.taken === 0 ? undefined : this.octets[this.taken - 1] !== LINE_END;
  }

  /** Lines that were written to their end. */
  get wholeLines(): number {
    let ends = this.mends && this.taken > 0 ? -1 : 0;
    for (let at = this.octets.indexOf(LINE_END); at >= 0 && at < this.taken; at = this.octets.indexOf(LINE_END, at + 1)) ends++;
    return ends;
  }
}
