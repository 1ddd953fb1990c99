// What was known of addresses when they were forgotten: while the control plane does not answer, it goes on.
import type { PodAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';

/**
 * So many last answers are kept of addresses with a sidecar, and as many of others, the newest: a client of many places
 * outside must not push out its pods. A sidecar that is forgotten cannot be reached while the control plane is away.
 */
export const MOST_LAST_ANSWERS = 1000;

export class LastAnswers {
  /** These two by address, the oldest first. */
  private readonly meshed = new Map<string, PodAddress>();
  private readonly others = new Map<string, PodAddress>();

  get(address: string): PodAddress | undefined {
    return this.meshed.get(address) ?? this.others.get(address);
  }

  /** Replaces what was known of the address. */
  keep(answer: PodAddress): void {
    const { address } = answer;
    this.forget(address);
    const answers = answer.identity === '' ? this.others : this.meshed;
    answers.set(address, answer);
    if (answers.size <= MOST_LAST_ANSWERS) return;
    for (const oldest of answers.keys()) return void answers.delete(oldest);
  }

  forget(address: string): void {
    this.meshed.delete(address);
    this.others.delete(address);
  }
}
