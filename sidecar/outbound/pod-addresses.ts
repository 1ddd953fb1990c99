// Which pods are at the addresses that this workload sends to directly (pods, endpoints of headless Services, the world
// outside), as the control plane says. It is asked at the first connection, reports changes while the address is in
// use, and is no longer asked when it is idle.
import type { PodAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';

/**
 * More are not kept: idle ones go first, and where all are in use the newest is not asked about, so that connections to
 * it pass through.
 */
export const MOST_ADDRESSES = 1000;
/** An address without connections is forgotten after this, in ms. */
const IDLE_MS = 60_000;

interface Entry {
  answer: PodAddress | null;
  waiting: ((answer: PodAddress | null) => void)[];
  /** One for each connection to it; `gone` is called when another pod has the address. */
  users: Set<{ readonly gone: () => void }>;
  idleSinceMs: number;
}

/** Where the questions go: the control plane. */
export interface AddressQuestions {
  ask(address: string): void;
  /** Stops reporting these addresses. */
  drop(addresses: readonly string[]): void;
}

export class PodAddresses {
  private readonly entries = new Map<string, Entry>();
  private readonly questions: AddressQuestions;
  private readonly changed: (address: string, answer: PodAddress | null) => void;

  /** @param changed called when an address has another identity or other ports now, or (null) when it is forgotten */
  constructor(questions: AddressQuestions, changed: (address: string, answer: PodAddress | null) => void) {
    this.questions = questions;
    this.changed = changed;
  }

  /** All that are asked about; a new stream begins with them. */
  all(): string[] {
    return [...this.entries.keys()];
  }

  /** Whether there is an answer. */
  knows(address: string): boolean {
    return (this.entries.get(address)?.answer ?? null) !== null;
  }

  /**
   * Asks about an address.
   * @param then called with the answer, at once if it is there; null: this address is not asked about
   * @returns stops waiting
   */
  ask(address: string, nowMs: number, then: (answer: PodAddress | null) => void): () => void {
    let entry = this.entries.get(address);
    if (entry === undefined) {
      if (this.entries.size >= MOST_ADDRESSES) this.forgetIdle(nowMs, 0);
      if (this.entries.size >= MOST_ADDRESSES) {
        then(null);
        return () => {};
      }
      this.entries.set(address, (entry = { answer: null, waiting: [], users: new Set(), idleSinceMs: nowMs }));
      this.questions.ask(address);
    }
    entry.idleSinceMs = nowMs;
    const { answer, waiting } = entry;
    if (answer !== null) {
      then(answer);
      return () => {};
    }
    waiting.push(then);
    return () => {
      const at = waiting.indexOf(then);
      if (at >= 0) waiting.splice(at, 1);
    };
  }

  /**
   * A connection to this address begins.
   * @param gone called when another pod has the address
   * @returns to be called when it has ended, with the time
   */
  use(address: string, gone: () => void): (nowMs: number) => void {
    const entry = this.entries.get(address);
    if (entry === undefined) return () => {};
    const user = { gone };
    entry.users.add(user);
    return (nowMs) => {
      entry.users.delete(user);
      entry.idleSinceMs = nowMs;
    };
  }

  /** Takes the control plane's answer, or a change of it. */
  take(answer: PodAddress): void {
    const entry = this.entries.get(answer.address);
    if (entry === undefined) return;
    const before = entry.answer;
    entry.answer = answer;
    if (before !== null && !isAlike(before, answer)) {
      this.changed(answer.address, answer);
      for (const { gone } of [...entry.users]) gone();
    }
    for (const then of entry.waiting.splice(0)) then(answer);
  }

  /** About once a second. */
  tick(nowMs: number): void {
    this.forgetIdle(nowMs, IDLE_MS);
  }

  private forgetIdle(nowMs: number, idleMs: number): void {
    const dropped: string[] = [];
    for (const [address, entry] of this.entries) {
      if (entry.users.size > 0 || entry.waiting.length > 0 || nowMs - entry.idleSinceMs < idleMs) continue;
      this.entries.delete(address);
      dropped.push(address);
      if (entry.answer !== null) this.changed(address, null);
    }
    if (dropped.length > 0) this.questions.drop(dropped);
  }
}

function isAlike(a: PodAddress, b: PodAddress): boolean {
  return a.identity === b.identity && JSON.stringify(a.bypassed) === JSON.stringify(b.bypassed);
}
