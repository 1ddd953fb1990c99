// `weft run` from start to end: it starts the mesh, shows once a second what happens, stops on a signal or in time, and
// reports. It leaves nothing behind, however it ends.
import type { LogLevel } from '#core/contract/log-levels.ts';
import { createLogger } from '#core/program/log.ts';
import { Mesh } from '#local/mesh/mesh.ts';
import { methodRows } from '#local/stats/rows.ts';
import { PLAIN, styleFor } from '../print/style.ts';
import { makeReport, type Report } from './report.ts';
import { logLine, ownLine } from './view/log-line.ts';
import { type MeshView, renderPlain, renderView } from './view/render.ts';
import { liveScreen, plainScreen, type Screen, type ScreenOutput } from './view/screen.ts';

export interface RunOptions {
  readonly directory: string;
  /** null: until a signal. */
  readonly forMs: number | null;
  readonly report: 'json' | null;
  readonly view: boolean;
  /** URL of a collector of traces; null: what the environment says. */
  readonly otlp: string | null;
  readonly logLevel: LogLevel | 'off';
  readonly sidecarProgram: string;
}

export interface RunDeps {
  readonly stdout: NodeJS.WritableStream & ScreenOutput;
  readonly stderr: NodeJS.WritableStream & ScreenOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where SIGINT, SIGTERM and SIGHUP come from. */
  readonly signals: Pick<NodeJS.EventEmitter, 'on' | 'off'>;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
// npm and the terminal both pass Ctrl-C on: what comes this soon after the first is the same Ctrl-C.
const SAME_SIGNAL_MS = 1000;
// `--for` counts from when all pods are ready; a mesh that does not get there must end too.
const READY_WITHIN_MS = 15_000;
const TICK_MS = 1000;

/**
 * Runs the mesh of a directory until a signal, or until its time is over.
 * @returns the report, after everything has stopped
 * @throws Failure when it cannot be started
 */
export async function run(options: RunOptions, around: RunDeps): Promise<Report> {
  const course = new Course(options, around);
  try {
    return await course.run();
  } finally {
    await course.end();
  }
}

class Course {
  private readonly options: RunOptions;
  private readonly around: RunDeps;
  private readonly screen: Screen;
  private readonly mesh: Mesh;
  private readonly startedAt = performance.now();
  private readonly podNumbers = new Map<string, number>();
  private countedFrom: number | null = null;
  private readonly stopAsked: Promise<string>;
  private askStop: (why: string) => void = () => {};
  private askedAt: number | null = null;
  private stopped = false;
  private timeTimer: NodeJS.Timeout | null = null;

  constructor(options: RunOptions, around: RunDeps) {
    this.options = options;
    this.around = around;
    const { stdout, stderr, env } = around;
    // With a report, standard output is the report's alone.
    const viewed = options.report ? stderr : stdout;
    const live = options.view && viewed.isTTY === true && env.TERM !== 'dumb';
    this.screen = live ? liveScreen(viewed) : plainScreen(viewed, stderr);
    const style = live ? styleFor(viewed, env) : styleFor(stderr, env);
    const coloured = style !== PLAIN;
    const log = createLogger({
      level: options.logLevel,
      format: 'json',
      write: (line) => this.screen.log(ownLine(line, style)),
      now: Date.now,
    });
    this.stopAsked = new Promise((resolve) => {
      this.askStop = resolve;
    });
    this.mesh = new Mesh({
      directory: options.directory,
      sidecarProgram: options.sidecarProgram,
      otlp: options.otlp,
      logLevel: options.logLevel,
      log,
      env,
      say: (line) => this.say(line),
      onLine: (pod, part, line) => this.screen.log(logLine(pod.name, part, line, this.numberOf(pod.key), style, coloured)),
    });
  }

  async run(): Promise<Report> {
    const { signals, stdout } = this.around;
    for (const signal of SIGNALS) signals.on(signal, this.onSignal);
    // A reader that went away (`| head`) wants no more.
    stdout.on('error', this.onBrokenPipe);
    await this.mesh.start();
    const why = await this.untilStopped();
    await this.mesh.poll();
    if (this.askedAt === null) this.askedAt = performance.now();
    // The last second is on the terminal for good; as plain lines it was said already.
    if (this.screen.live) this.draw();
    // Taken before the stop: what the end itself breaks is not the mesh's failure.
    const report = this.report();
    this.screen.close(true);
    this.say(`stopping (${why})`);
    await this.mesh.close();
    this.stopped = true;
    this.say(`stopped after ${report.requests} calls, ${report.ok} of them OK`);
    if (this.options.report) await write(stdout, `${JSON.stringify(report, null, 2)}\n`);
    return report;
  }

  /** Takes back what was put on the process and the terminal, and what still runs after a failure. */
  async end(): Promise<void> {
    this.screen.close(true);
    if (this.timeTimer) clearTimeout(this.timeTimer);
    if (!this.stopped) {
      this.stopped = true;
      await this.mesh.kill();
    }
    for (const signal of SIGNALS) this.around.signals.off(signal, this.onSignal);
    this.around.stdout.off('error', this.onBrokenPipe);
  }

  private readonly onSignal = (signal: string): void => {
    const now = performance.now();
    if (this.askedAt === null) {
      this.askedAt = now;
      this.askStop(signal);
    } else if (now - this.askedAt > SAME_SIGNAL_MS) {
      this.say('killing what is left');
      void this.mesh.kill();
    }
  };

  private readonly onBrokenPipe = (): void => this.askStop('nobody reads any more');

  private async untilStopped(): Promise<string> {
    let lastTick = performance.now();
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      void this.mesh.poll().finally(() => {
        const now = performance.now();
        this.mesh.ledger.tick((now - lastTick) / 1000);
        lastTick = now;
        busy = false;
        this.noticeReady(now);
        if (this.options.view && !this.stopped) this.draw();
      });
    }, TICK_MS);
    try {
      return await this.stopAsked;
    } finally {
      clearInterval(timer);
    }
  }

  private noticeReady(now: number): void {
    if (this.countedFrom !== null) return;
    const all = this.mesh.podsReady() >= this.mesh.podsWanted();
    if (!all && now - this.startedAt < READY_WITHIN_MS) return;
    this.countedFrom = now;
    if (this.options.forMs !== null) this.timeTimer = setTimeout(() => this.askStop('time is over'), this.options.forMs);
    this.say(`${this.mesh.podsReady()} of ${this.mesh.podsWanted()} pods ready in ${((now - this.startedAt) / 1000).toFixed(1)} s`);
  }

  private leftSeconds(): number | null {
    if (this.options.forMs === null || this.countedFrom === null) return null;
    return Math.max(0, (this.countedFrom + this.options.forMs - performance.now()) / 1000);
  }

  private draw(): void {
    const state = this.state();
    if (this.countedFrom === null && state.methods.length === 0) return;
    const { stdout, stderr, env } = this.around;
    if (this.screen.live) this.screen.draw(renderView(state, this.screen.size(), styleFor(this.options.report ? stderr : stdout, env)));
    else if (this.options.view) this.screen.draw(renderPlain(state));
  }

  private state(): MeshView {
    const { mesh, options } = this;
    return {
      directory: options.directory,
      uptimeSeconds: (performance.now() - this.startedAt) / 1000,
      leftSeconds: this.leftSeconds(),
      podsReady: mesh.podsReady(),
      pods: mesh.podsWanted(),
      methods: methodRows(mesh.ledger),
      routes: mesh.routes(),
      problems: mesh.problems(),
    };
  }

  private report(): Report {
    const { mesh } = this;
    return makeReport({
      directory: this.options.directory,
      seconds: (performance.now() - (this.countedFrom ?? this.startedAt)) / 1000,
      calls: mesh.ledger.totals(),
      routes: mesh.routes(),
      pods: mesh.podRows(),
      problems: mesh.problems(),
    });
  }

  private say(line: string): void {
    this.screen.log(`weft | ${line}`);
  }

  private numberOf(pod: string): number {
    let number = this.podNumbers.get(pod);
    if (number === undefined) this.podNumbers.set(pod, (number = this.podNumbers.size));
    return number;
  }
}

function write(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(text, () => resolve()));
}
