// The writer of log lines: whole lines in order, and a reader that is stuck, slow or gone stops nobody.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { LineWriter, MOST_ACCESS_CHARS, MOST_LOG_CHARS } from '#sidecar/observe/access-log/line-writer.ts';

/** A reader that takes as many octets as it is told, and time that passes when it is told. */
class Reader {
  private readonly octets: Buffer[] = [];
  /** Octets that it still takes. */
  room = Number.POSITIVE_INFINITY;
  gone = false;
  writes = 0;
  slept = 0;
  private readonly due: { at: number; then: () => void }[] = [];
  private nowMs = 0;
  readonly writer: LineWriter;

  constructor(whileAsleep: (reader: Reader) => void = () => {}) {
    this.writer = new LineWriter({
      write: (octets, from) => this.take(octets, from),
      timers: {
        now: () => this.nowMs,
        after: (ms, then) => {
          const timer = { at: this.nowMs + ms, then };
          this.due.push(timer);
          return () => void this.due.splice(this.due.indexOf(timer), 1);
        },
      },
      sleep: (ms) => {
        this.slept += ms;
        whileAsleep(this);
      },
    });
  }

  get text(): string {
    return Buffer.concat(this.octets).toString();
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }

  pass(ms: number): void {
    for (const end = this.nowMs + ms; ; ) {
      this.due.sort((a, b) => a.at - b.at);
      if (this.due.length === 0 || this.due[0].at > end) {
        this.nowMs = end;
        return;
      }
      const timer = this.due.shift()!;
      this.nowMs = timer.at;
      timer.then();
    }
  }

  private take(octets: Buffer, from: number): number {
    this.writes++;
    if (this.gone) throw new Error('EPIPE');
    const taken = Math.min(this.room, octets.length - from);
    this.room -= taken;
    this.octets.push(Buffer.from(octets.subarray(from, from + taken)));
    return taken;
  }
}

const LINE = 'x'.repeat(999);

describe('line writer', () => {
  it('writes the log at once and access lines together', () => {
    const reader = new Reader();
    reader.writer.log('one');
    expect(reader.text).to.equal('one\n');
    reader.writer.access('two');
    reader.writer.access('three');
    expect(reader.text).to.equal('one\n');
    reader.pass(100);
    expect(reader.text).to.equal('one\ntwo\nthree\n');
    expect(reader.writes).to.equal(2);
    reader.pass(10_000);
    expect(reader.writes).to.equal(2);
  });

  it('a line of the log takes along what came before it', () => {
    const reader = new Reader();
    reader.writer.access('one');
    reader.writer.log('two');
    expect(reader.text).to.equal('one\ntwo\n');
  });

  it('does not wait for the timer when there is much', () => {
    const reader = new Reader();
    for (let i = 0; i < 33; i++) reader.writer.access(LINE);
    expect(reader.lines).to.have.length(33);
    expect(reader.writes).to.equal(1);
  });

  it('a reader that is stuck: bounded, whole lines, counted, and it goes on', () => {
    const reader = new Reader();
    reader.room = 1500;
    let taken = 0;
    for (let i = 0; i < 2000; i++) if (reader.writer.access(LINE)) taken++;
    expect(taken).to.be.within(MOST_ACCESS_CHARS / 1000 - 2, MOST_ACCESS_CHARS / 1000 + 2);
    expect(reader.writer.dropped).to.equal(2000 - taken);
    reader.pass(60_000);
    expect(reader.writes).to.be.lessThan(2000);
    reader.room = Number.POSITIVE_INFINITY;
    reader.pass(100);
    expect(reader.lines).to.deep.equal(Array(taken).fill(LINE));
    expect(reader.writer.access('again')).to.equal(true);
    reader.pass(100);
    expect(reader.lines.at(-1)).to.equal('again');
  });

  it('keeps room for the log when access lines have filled theirs, and bounds it too', () => {
    const reader = new Reader();
    reader.room = 0;
    while (reader.writer.access(LINE));
    reader.writer.log('important');
    expect(reader.writer.dropped).to.equal(1);
    for (let i = 0; i < 1000; i++) reader.writer.log(LINE);
    expect(reader.writer.dropped).to.be.greaterThan(700);
    reader.room = Number.POSITIVE_INFINITY;
    reader.pass(100);
    expect(reader.lines).to.include('important');
    expect(reader.text.length).to.be.within(MOST_LOG_CHARS - 1000, MOST_LOG_CHARS);
  });

  it('a reader that is slow for ever: nothing piles up behind what it takes', () => {
    const reader = new Reader();
    for (let i = 0; i < 5000; i++) {
      reader.room = 3000;
      reader.writer.access(LINE);
      reader.writer.access(LINE);
      reader.pass(50);
    }
    expect(reader.writer.dropped).to.equal(0);
    expect(reader.lines).to.have.length.within(9960, 10_000);
  });

  it('a reader that is gone: lines are counted as dropped, and a new one gets whole lines', () => {
    const reader = new Reader();
    reader.room = 5;
    reader.writer.log('first line');
    reader.gone = true;
    reader.pass(100);
    reader.writer.log('lost');
    expect(reader.writer.dropped).to.equal(2);
    reader.gone = false;
    reader.room = Number.POSITIVE_INFINITY;
    reader.writer.log('found');
    expect(reader.lines).to.deep.equal(['first', 'found']);
  });

  it('a disk that gets full amid lines: those that are on it count as written, the others as dropped, and later ones begin anew', () => {
    const reader = new Reader();
    for (const line of ['first', 'second', 'third']) reader.writer.access(line);
    reader.room = 'first\nsecond\nthi'.length;
    reader.pass(50);
    reader.gone = true;
    reader.pass(100);
    expect([reader.writer.accessWritten, reader.writer.accessDropped, reader.writer.dropped]).to.deep.equal([2, 1, 1]);
    reader.gone = false;
    reader.room = 3; // the end of what broke off, and a part
    reader.writer.access('fourth');
    reader.pass(50);
    reader.gone = true;
    reader.pass(100);
    expect([reader.writer.accessWritten, reader.writer.accessDropped]).to.deep.equal([2, 2]);
    reader.gone = false;
    reader.room = Number.POSITIVE_INFINITY;
    reader.writer.access('fifth');
    reader.writer.log('sixth');
    expect(reader.lines).to.deep.equal(['first', 'second', 'thi', 'fo', 'fifth', 'sixth']);
    expect([reader.writer.accessWritten, reader.writer.accessDropped, reader.writer.dropped]).to.deep.equal([3, 2, 2]);
  });

  it('at the end it writes what waits, and waits no longer than half a second', () => {
    const slow = new Reader((reader) => (reader.room = 64 * 1024));
    slow.room = 0;
    for (let i = 0; i < 900; i++) slow.writer.access(LINE);
    slow.writer.flushSync();
    expect(slow.lines).to.have.length(900);
    const stuck = new Reader();
    stuck.room = 0;
    stuck.writer.log('never read');
    stuck.writer.flushSync();
    expect(stuck.slept).to.equal(500);
  });

  it('whatever is written and read: lines arrive whole, in order, once', () => {
    const step = fc.oneof(
      fc.record({ log: fc.string({ unit: 'grapheme', maxLength: 40 }) }),
      fc.record({ access: fc.string({ unit: 'grapheme', maxLength: 40 }) }),
      fc.record({ room: fc.nat(60) }),
      fc.record({ pass: fc.nat(200) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const reader = new Reader();
        const wrote: string[] = [];
        for (const one of steps) {
          if ('room' in one) reader.room = one.room;
          else if ('pass' in one) reader.pass(one.pass);
          else {
            const line = ('log' in one ? one.log : one.access).replaceAll('\n', ' ');
            wrote.push(line);
            if ('log' in one) reader.writer.log(line);
            else reader.writer.access(line);
          }
        }
        reader.room = Number.POSITIVE_INFINITY;
        reader.writer.flushSync();
        expect(reader.lines).to.deep.equal(wrote);
      }),
    );
  });

  describe('on the descriptor of a program', () => {
    it('counts what a full disk and a closed pipe do not take', async () => {
      const script = `
        const { createLineWriter } = await import(${JSON.stringify(path.resolve('sidecar/observe/access-log/line-writer.ts'))});
        const writer = createLineWriter(process.stdout);
        process.stdin.resume().on('end', () => {
          for (let i = 0; i < 10; i++) writer.access('line');
          writer.flushSync();
          process.stderr.write(writer.accessWritten + ' ' + writer.accessDropped);
        });`;
      const full = fs.openSync('/dev/full', 'w');
      for (const stdout of [full, 'pipe'] as const) {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', stdout, 'pipe'] });
        child.stdout?.destroy();
        let said = '';
        child.stderr!.on('data', (octets) => (said += octets));
        child.stdin!.end();
        const [code] = await once(child, 'close');
        expect([code, said]).to.deep.equal([0, '0 10']);
      }
      fs.closeSync(full);
    });

    const PROGRAM = `
      const { createLineWriter } = await import(${JSON.stringify(path.resolve('sidecar/observe/access-log/line-writer.ts'))});
      const writer = createLineWriter(process.stdout);
      process.on('exit', () => writer.flushSync());
      const line = 'y'.repeat(499);
      writer.log('begin');
      for (let i = 0; i < 4000; i++) writer.access(line);
      globalThis.gc?.();
      setTimeout(() => { process.stderr.write('dropped ' + writer.dropped + '\\n'); writer.log('end'); process.exit(3); }, 20);`;

    it('a pipe that nobody reads stops neither the program nor its end', async () => {
      const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', PROGRAM], { stdio: ['ignore', 'pipe', 'pipe'] });
      child.stdout.pause();
      let said = '';
      child.stderr.on('data', (octets) => (said += octets));
      const [code] = await once(child, 'exit');
      expect(code).to.equal(3);
      expect(said).to.match(/^dropped [1-9][0-9]*$/m);
    });

    it('a file and a pipe that is read get everything, also what was written last', async () => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-lines-'));
      try {
        const file = path.join(directory, 'log');
        const run = (command: string): unknown => execFileSync('sh', ['-c', command, process.execPath, PROGRAM], { stdio: 'pipe' });
        expect(() => run(`"$0" --input-type=module -e "$1" > ${file}`)).to.throw(); // exit code 3
        run(`"$0" --input-type=module -e "$1" | cat > ${file}.piped`);
        for (const name of [file, `${file}.piped`]) {
          const lines = fs.readFileSync(name, 'utf8').split('\n');
          expect(lines.slice(1, -2).every((line) => line.length === 499)).to.equal(true);
          expect([lines[0], lines.at(-2), lines.at(-1)]).to.deep.equal(['begin', 'end', '']);
        }
        expect(fs.readFileSync(file, 'utf8').split('\n')).to.have.length(4003);
      } finally {
        fs.rmSync(directory, { recursive: true });
      }
    });
  });
});
