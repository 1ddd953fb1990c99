// When a container is ready: its readiness probe, asked and counted as the kubelet does (kubernetes pkg/kubelet/prober).
import type { Timers } from '#core/program/timers.ts';
import type { ProbeOutcome } from '#sidecar/pod/probe/run.ts';
import type { PlannedProbe } from '../plan/probes.ts';

export type ProbeTimes = Omit<PlannedProbe, 'question'>;

export interface ProberDeps {
  readonly times: ProbeTimes;
  /**
   * Between two questions while the container is not ready. The kubelet may ask off its period then too, so that the
   * pod is ready sooner (kubernetes.io, "Configure Liveness, Readiness and Startup Probes", periodSeconds).
   */
  readonly eagerMs: number;
  /** Once ready it stays ready: there is no probe, and what is asked only stands in for one. */
  readonly once: boolean;
  /** Never rejects. */
  readonly ask: () => Promise<ProbeOutcome>;
  readonly onChange: () => void;
  /** It ceased to be ready, or has not become ready for so long that a person should know why. Once per failure. */
  readonly onFailing: (detail: string) => void;
  readonly timers: Timers;
}

/** A container that is not ready so long after its first question is worth a word. */
export const FAILING_AFTER_MS = 5000;

type State =
  /** No process runs. */
  | { readonly is: 'idle' }
  | { readonly is: 'waiting'; readonly cancel: () => void }
  | { readonly is: 'asking' }
  /** Ready for good. */
  | { readonly is: 'settled' };

export class Prober {
  private readonly deps: ProberDeps;
  private state: State = { is: 'idle' };
  private up = false;
  private last: boolean | null = null;
  /** Equal answers in a row. */
  private run = 0;
  /** When a failure is worth a word (Unix ms); Infinity: it was said. */
  private sayAtMs = Infinity;

  constructor(deps: ProberDeps) {
    this.deps = deps;
  }

  get ready(): boolean {
    return this.up;
  }

  /** The container's process has started: what an earlier one answered does not count. */
  started(): void {
    this.reset();
    const { times, timers } = this.deps;
    this.sayAtMs = timers.now() + times.initialDelayMs + FAILING_AFTER_MS;
    this.askIn(times.initialDelayMs);
  }

  /** The process has ended, or is to be asked no more. */
  stopped(): void {
    this.reset();
  }

  private reset(): void {
    if (this.state.is === 'waiting') this.state.cancel();
    this.state = { is: 'idle' };
    this.up = false;
    this.last = null;
    this.run = 0;
  }

  private askIn(ms: number): void {
    this.state = { is: 'waiting', cancel: this.deps.timers.after(ms, () => this.ask()) };
  }

  private ask(): void {
    const asking: State = { is: 'asking' };
    this.state = asking;
    void this.deps.ask().then((outcome) => {
      if (this.state === asking) this.take(outcome);
    });
  }

  private take({ ok, detail }: ProbeOutcome): void {
    const { times, eagerMs, once, onChange, timers } = this.deps;
    this.run = this.last === ok ? this.run + 1 : 1;
    this.last = ok;
    const before = this.up;
    if (this.run >= (ok ? times.successThreshold : times.failureThreshold)) this.up = ok;
    if (this.up && once) this.state = { is: 'settled' };
    else this.askIn(ok || this.up ? times.periodMs : Math.min(times.periodMs, eagerMs));
    if (before && !this.up) this.sayAtMs = timers.now();
    else if (this.up) this.sayAtMs = Infinity;
    if (this.up !== before) onChange();
    if (!this.up && timers.now() >= this.sayAtMs) {
      this.sayAtMs = Infinity;
      this.deps.onFailing(detail);
    }
  }
}
