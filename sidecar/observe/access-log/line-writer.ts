// Lines to a descriptor that may be a pipe nobody reads: never waits for the reader, never cuts a line, keeps a bounded number of them.
import { systemTimers, type Timers } from '#core/program/timers.ts';

// An import would read every property of the module, among them getters that load streams: 0.7 MB of the sidecar's memory (Node 24).
const fs = process.getBuiltinModule('node:fs');

const LINE_END = 0x0a;
/** Access lines are written when there are so many characters of them, or after so many ms. */
const BATCH_CHARS = 32 * 1024;
const LATEST_FLUSH_MS = 50;
/** One write takes at most so many characters: the size of a pipe. */
const WRITE_CHARS = 64 * 1024;
/** What waits for the reader, in characters; past it lines are dropped. The program's own log has some room of its own. */
export const MOST_ACCESS_CHARS = 1024 * 1024;
export const MOST_LOG_CHARS = MOST_ACCESS_CHARS + 256 * 1024;
/** A full pipe is tried again after 1 ms, then after twice as long each time up to this many. */
const SLOWEST_RETRY_MS = 50;
/** At the end of the program the reader gets so long, in ms. */
const LAST_FLUSH_MS = 500;
const LAST_LOOK_MS = 5;

const NOTHING = Buffer.alloc(0);

/** Where the access log goes, and what became of it. */
export interface AccessLines {
  /** A line of the access log, without its end: written with others. @returns false if it was dropped */
  access(line: string): boolean;
  /** Lines that were written to their end since the start. */
  readonly accessWritten: number;
  /** Lines that were dropped since the start, or lost because nobody could take them any more. */
  readonly accessDropped: number;
}

export interface LineWriter extends AccessLines {
  /** A line of the program's log, without its end: written at once, or behind what waits. */
  log(line: string): void;
  /** Writes what waits while the reader takes it, at most half a second: for the end of the program. */
  flushSync(): void;
  /** Lines of either kind that were dropped or lost. */
  readonly dropped: number;
}

interface Line {
  readonly text: string;
  readonly access: boolean;
}

export interface LineWriterSettings {
  /** Writes a part of the octets at once. @returns how many, 0 if the reader takes none now. @throws the system's error when nobody ever will */
  readonly write: (octets: Buffer, from: number) => number;
  readonly timers: Timers;
  /** Waits. */
  readonly sleep: (ms: number) => void;
}

/**
 * A writer to the descriptor of a stream of the process, past the stream itself.
 * @param stream process.stdout: by making it Node has set a pipe or socket to not block (Node 24; a test sees to it)
 */
export function createLineWriter({ fd }: { readonly fd: number }): LineWriter {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  return newLineWriter({
    write: (octets, from) => {
      try {
        return fs.writeSync(fd, octets, from);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
        throw error;
      }
    },
    timers: systemTimers,
    sleep: (ms) => void Atomics.wait(cell, 0, 0, ms),
  });
}

/** The same over any `write`. */
export function newLineWriter({ write, timers, sleep }: LineWriterSettings): LineWriter {
  const waiting: Line[] = [];
  /** Of `waiting` and of the batch, with line ends. */
  let keptChars = 0;
  /** Octets under way, and how many of them were taken. */
  let batch: Buffer = NOTHING;
  let batchLines: Line[] = [];
  let batchChars = 0;
  let taken = 0;
  /** What was written last is not the end of a line: after an error the next one must begin on a new one. */
  let midLine = false;
  /** The batch begins with that end. */
  let mending = false;
  let dropped = 0;
  let accessDropped = 0;
  let accessWritten = 0;
  let retryMs = 1;
  let stopTimer: (() => void) | null = null;

  /** Takes the next lines. @returns false if none wait */
  const nextBatch = (): boolean => {
    if (waiting.length === 0) return false;
    let lines = 0;
    batchChars = 0;
    while (lines < waiting.length && (lines === 0 || batchChars + waiting[lines].text.length < WRITE_CHARS)) {
      batchChars += waiting[lines++].text.length + 1;
    }
    batchLines = waiting.splice(0, lines);
    mending = midLine;
    batch = Buffer.from(`${mending ? '\n' : ''}${batchLines.map(({ text }) => text).join('\n')}\n`);
    taken = 0;
    return true;
  };
  const drop = (access: boolean): void => {
    dropped++;
    if (access) accessDropped++;
  };
  /** @param whole so many lines of it were written; the others are lost */
  const finishBatch = (whole: number): void => {
    for (let i = 0; i < batchLines.length; i++) {
      const { access } = batchLines[i];
      if (i >= whole) drop(access);
      else if (access) accessWritten++;
    }
    keptChars -= batchChars;
    batch = NOTHING;
    batchLines = [];
    batchChars = 0;
    taken = 0;
  };
  const wholeLines = (): number => {
    let ends = mending && taken > 0 ? -1 : 0;
    for (let at = batch.indexOf(LINE_END); at >= 0 && at < taken; at = batch.indexOf(LINE_END, at + 1)) ends++;
    return ends;
  };
  /** @returns whether all was written */
  const writeAll = (): boolean => {
    while (taken < batch.length || nextBatch()) {
      try {
        const octets = write(batch, taken);
        if (octets === 0) return false;
        taken += octets;
        midLine = batch[taken - 1] !== LINE_END;
        retryMs = 1;
        if (taken === batch.length) finishBatch(batchLines.length);
      } catch {
        // Nobody reads any more, or the disk is full: these lines are lost, and later ones find out anew.
        finishBatch(wholeLines());
      }
    }
    return true;
  };
  const later = (ms: number): void => {
    stopTimer = timers.after(ms, () => {
      stopTimer = null;
      flush();
    });
  };
  const flush = (): void => {
    if (writeAll()) return;
    if (stopTimer !== null) return;
    later(retryMs);
    retryMs = Math.min(retryMs * 2, SLOWEST_RETRY_MS);
  };
  const take = (text: string, access: boolean): boolean => {
    if (keptChars + text.length + 1 > (access ? MOST_ACCESS_CHARS : MOST_LOG_CHARS)) {
      drop(access);
      return false;
    }
    waiting.push({ text, access });
    keptChars += text.length + 1;
    return true;
  };
  return {
    log(line) {
      if (take(line, false) && batch === NOTHING) flush();
    },
    access(line) {
      if (!take(line, true)) return false;
      if (batch !== NOTHING) return true; // the reader is slow: its turn comes by the timer
      if (keptChars >= BATCH_CHARS) flush();
      else if (stopTimer === null) later(LATEST_FLUSH_MS);
      return true;
    },
    flushSync() {
      stopTimer?.();
      stopTimer = null;
      for (let waitedMs = 0; !writeAll() && waitedMs < LAST_FLUSH_MS; waitedMs += LAST_LOOK_MS) sleep(LAST_LOOK_MS);
    },
    get dropped() {
      return dropped;
    },
    get accessDropped() {
      return accessDropped;
    },
    get accessWritten() {
      return accessWritten;
    },
  };
}
