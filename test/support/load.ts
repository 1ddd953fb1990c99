// Calls that go on while a story changes something: how many there were, which pods answered, and what failed.
import type { CallOptions, GrpcCaller, Outcome } from './grpc-app.ts';
import { until } from './until.ts';

export class Load {
  /** Calls that have begun, and that have ended. */
  begun = 0;
  calls = 0;
  /** With the value of `begun` when the call began. */
  readonly failures: (Outcome & { readonly number: number })[] = [];
  /** Calls that each pod has answered. */
  readonly byPod = new Map<string, number>();
  private running = true;
  private readonly loops: Promise<void>[];

  /** @param options of each call, or what makes them */
  constructor(caller: GrpcCaller, options: CallOptions | (() => CallOptions) = {}, concurrency = 4) {
    const loop = async (): Promise<void> => {
      while (this.running) {
        const number = this.begun++;
        const outcome = await caller.unary(typeof options === 'function' ? options() : options);
        this.calls++;
        if (outcome.answer === null) this.failures.push({ ...outcome, number });
        else this.byPod.set(outcome.answer.pod, (this.byPod.get(outcome.answer.pod) ?? 0) + 1);
      }
    };
    this.loops = Array.from({ length: concurrency }, loop);
  }

  /** Waits until so many more calls have ended. */
  async more(calls: number): Promise<void> {
    const target = this.calls + calls;
    await until(() => this.calls >= target, `${calls} more calls have ended`);
  }

  /** Waits for the calls under way. @returns what failed */
  async stop(): Promise<Outcome[]> {
    this.running = false;
    await Promise.all(this.loops);
    return this.failures;
  }
}
