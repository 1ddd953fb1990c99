// Opens what the pod is to listen on; what fails is tried again until it works or the workload changes.
import type { Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Logger } from '#core/program/log.ts';

/** A listener that could not be opened is tried again so often, in ms. */
const LISTEN_RETRY_MS = 1000;

export class Listening {
  private readonly open: (workload: Workload) => Promise<string[]>;
  private readonly startedUp: () => void;
  private readonly log: Logger;
  /** null: nothing is to be opened, not yet or no longer. */
  private wanted: Workload | null = null;
  /** Opening and closing of listeners, one after the other. */
  private queue: Promise<void> = Promise.resolve();
  private found: readonly string[] = ['the control plane has not said yet what to listen on'];
  private hasStarted = false;

  /**
   * @param open opens and closes listeners so that they are those of the workload; returns what could not be opened,
   * and why
   * @param startedUp called when all are open for the first time
   */
  constructor(open: (workload: Workload) => Promise<string[]>, startedUp: () => void, log: Logger) {
    this.open = open;
    this.startedUp = startedUp;
    this.log = log;
  }

  /** What keeps traffic from being served now. */
  get problems(): readonly string[] {
    return this.found;
  }

  take(workload: Workload): void {
    this.wanted = workload;
    this.enqueue(workload);
  }

  /** Opens nothing any more. Resolves when what was under way is done. */
  stop(): Promise<void> {
    this.wanted = null;
    return this.queue;
  }

  private enqueue(workload: Workload): void {
    this.queue = this.queue.then(() => this.openAll(workload));
  }

  private async openAll(workload: Workload): Promise<void> {
    if (this.wanted !== workload) return;
    const problems = await this.open(workload);
    for (const problem of problems) if (!this.found.includes(problem)) this.log.error(problem);
    if (problems.length === 0 && this.found.length > 0) {
      this.log.info('listening', { inbound: workload.inbound.length, outbound: workload.outbound.length });
      if (!this.hasStarted) this.startedUp();
      this.hasStarted = true;
    }
    this.found = problems;
    if (problems.length > 0) setTimeout(() => this.enqueue(workload), LISTEN_RETRY_MS).unref();
  }
}
