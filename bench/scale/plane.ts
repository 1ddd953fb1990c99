// The control plane of the scale test: the program as it is installed, on one core, with the heap of its container.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Probed } from './loop-probe.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const READY_WITHIN_MS = 600_000;
const POLL_MS = 20;

export interface PlaneSettings {
  readonly kubeconfig: string;
  readonly port: number;
  readonly viewPort: number;
  readonly core: number;
  readonly heapMiB: number;
  /** Of the pod. */
  readonly name: string;
  /** Every version is another. */
  readonly otherHashes?: boolean;
}

export class Plane {
  private readonly child: ChildProcess;
  private readonly settings: PlaneSettings;
  private output = '';

  constructor(settings: PlaneSettings) {
    this.settings = settings;
    const { kubeconfig, port, viewPort, core, heapMiB, name, otherHashes = false } = settings;
    const preload = (file: string): string[] => ['--import', path.join(import.meta.dirname, file)];
    const command = [
      ...['-c', `${core}`, process.execPath, '--expose-gc', `--max-old-space-size=${heapMiB}`],
      ...preload('loop-probe.ts'),
      ...(otherHashes ? preload('other-hashes.ts') : []),
      path.join(ROOT, 'dist', 'control-plane.mjs'),
      ...['--host', '127.0.0.1', '--port', `${port}`, '--view-port', `${viewPort}`],
    ];
    this.child = spawn('taskset', command, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, KUBECONFIG: kubeconfig, WEFT_POD_NAME: name, WEFT_LOG_LEVEL: 'warn' },
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-4000);
    });
  }

  /** @returns ms from now until it is ready. @throws Error with its last words when it ends */
  async ready(): Promise<number> {
    const began = performance.now();
    while (
      !(await this.page('/readyz').then(
        ({ ok }) => ok,
        () => false,
      ))
    ) {
      this.mustRun();
      if (performance.now() - began > READY_WITHIN_MS) throw new Error(`the control plane is not ready: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return performance.now() - began;
  }

  /** What its probe says: as it is, from now on, or after a collection. */
  async probe(what: 'read' | 'reset' | 'collect' = 'read'): Promise<Probed> {
    this.mustRun();
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(`the control plane has ended: ${this.output}`));
      this.child.once('exit', ended);
      this.child.once('message', (message) => {
        this.child.off('exit', ended);
        resolve(message as Probed);
      });
      this.child.send(what);
    });
  }

  /** Its memory at most, in MiB. */
  peakRssMiB(): number {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))![1]) / 1024;
  }

  /** A sample of its metrics page. */
  async metric(line: string): Promise<number> {
    const text = await (await this.page('/metrics')).text();
    return Number(
      text
        .split('\n')
        .find((one) => one.startsWith(line))
        ?.slice(line.length) ?? 'NaN',
    );
  }

  mustRun(): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null)
      throw new Error(`the control plane has ended (${this.child.exitCode ?? this.child.signalCode}): ${this.output}`);
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }

  private page(at: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.settings.viewPort}${at}`, { signal: AbortSignal.timeout(30_000) });
  }
}
