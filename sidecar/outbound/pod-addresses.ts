// What is at the addresses that this workload sends to and that are not known as Services', as the control plane says:
// pods, endpoints of headless Services, Services that it has not used yet, the world outside. It is asked at the first
// connection, reports changes while the address is in use, and is no longer asked when it is idle. While it does not
// answer, nothing that was known is forgotten.
import type { PodAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { LastAnswers } from './last-answers.ts';

/**
 * More are not kept: idle ones go first, and where all are in use the newest waits for room, as a connection waits for
 * an answer.
 */
export const MOST_ADDRESSES = 1000;
/** An address without connections is forgotten after this, in ms, while the control plane is there. */
const IDLE_MS = 60_000;
/**
 * A control plane that has not answered by then is as good as away, in ms: a stream that is cut is noticed by a ping
 * alone. With a tick of a second, connections get what was known within CONFIG_WAIT_MS.
 */
const ANSWERS_WITHIN_MS = 500;

type Taker = (answer: PodAddress) => void;

interface Entry {
  answer: PodAddress | null;
  askedMs: number;
  waiting: Taker[];
  /** One for each connection to it; `gone` is called when another pod has the address. */
  users: Set<{ readonly gone: () => void }>;
  idleSinceMs: number;
}

/** Where the questions go: the control plane. */
export interface AddressQuestions {
  ask(address: string): void;
  /** Stops reporting these addresses. */
  drop(addresses: readonly string[]): void;
  /** The control plane answers. */
  connected(): boolean;
}

export class PodAddresses {
  private readonly entries = new Map<string, Entry>();
  private readonly last = new LastAnswers();
  /** Addresses that cannot be asked about yet, because there are too many. */
  private readonly forRoom = new Set<{ readonly address: string; readonly then: Taker; stop: () => void }>();
  private readonly questions: AddressQuestions;
  private readonly changed: (address: string, answer: PodAddress | null) => void;
  private readonly isServiceOnly: (address: string) => boolean;

  /**
   * @param changed called when an address has another identity or other ports now, or (null) when it is forgotten
   * @param isServiceOnly no pod can be at such a place: what was known of it last may be from before a Service was there
   */
  constructor(
    questions: AddressQuestions,
    changed: (address: string, answer: PodAddress | null) => void,
    isServiceOnly: (address: string) => boolean = () => false,
  ) {
    this.questions = questions;
    this.changed = changed;
    this.isServiceOnly = isServiceOnly;
  }

  /** All that are asked about; a new stream begins with them. */
  all(): string[] {
    return [...this.entries.keys()];
  }

  /**
   * Asks about an address.
   * @param then called with the answer, at once if it is there. While the control plane is away or silent, what was
   * known of the address last is the answer
   * @returns stops waiting
   */
  ask(address: string, nowMs: number, then: Taker): () => void {
    let entry = this.entries.get(address);
    if (entry === undefined) {
      if (this.entries.size >= MOST_ADDRESSES) this.forgetIdle(nowMs, 0);
      if (this.entries.size >= MOST_ADDRESSES) return this.waitForRoom(address, then);
      this.entries.set(address, (entry = { answer: null, askedMs: nowMs, waiting: [], users: new Set(), idleSinceMs: nowMs }));
      this.questions.ask(address);
    }
    entry.idleSinceMs = nowMs;
    if (entry.answer === null && !this.questions.connected()) entry.answer = this.lastOf(address) ?? null;
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
      this.admit(nowMs);
    };
  }

  /** Takes the control plane's answer, or a change of it. */
  take(answer: PodAddress): void {
    const entry = this.entries.get(answer.address);
    if (entry === undefined) return;
    const before = entry.answer;
    entry.answer = answer;
    this.last.forget(answer.address);
    if (before !== null && !isAlike(before, answer)) {
      this.changed(answer.address, answer);
      for (const { gone } of [...entry.users]) gone();
    } else if (before !== null && JSON.stringify(before.opaque) !== JSON.stringify(answer.opaque)) {
      // Of new connections alone: the others go to the right place.
      this.changed(answer.address, answer);
    }
    for (const then of entry.waiting.splice(0)) then(answer);
  }

  /** About once a second. */
  tick(nowMs: number): void {
    if (this.questions.connected()) this.forgetIdle(nowMs, IDLE_MS);
    this.settleByLast(nowMs);
    this.admit(nowMs);
  }

  private waitForRoom(address: string, then: Taker): () => void {
    const place = { address, then, stop: () => {} };
    this.forRoom.add(place);
    return () => {
      this.forRoom.delete(place);
      place.stop();
    };
  }

  /** Asks about addresses that wait for room, as far as there is any. */
  private admit(nowMs: number): void {
    if (this.forRoom.size === 0) return;
    if (this.entries.size >= MOST_ADDRESSES) this.forgetIdle(nowMs, 0);
    for (const place of this.forRoom) {
      if (this.entries.size >= MOST_ADDRESSES && !this.entries.has(place.address)) continue;
      this.forRoom.delete(place);
      place.stop = this.ask(place.address, nowMs, place.then);
    }
  }

  private lastOf(address: string): PodAddress | undefined {
    return this.isServiceOnly(address) ? undefined : this.last.get(address);
  }

  private forgetIdle(nowMs: number, idleMs: number): void {
    const dropped: string[] = [];
    for (const [address, entry] of this.entries) {
      if (entry.users.size > 0 || entry.waiting.length > 0 || nowMs - entry.idleSinceMs < idleMs) continue;
      this.entries.delete(address);
      dropped.push(address);
      if (entry.answer === null) continue;
      this.last.keep(entry.answer);
      this.changed(address, null);
    }
    if (dropped.length > 0) this.questions.drop(dropped);
  }

  /**
   * Answers what was asked in vain with what was known last. The control plane's own answer corrects it. While it is
   * only slow, this must not lead to plaintext.
   */
  private settleByLast(nowMs: number): void {
    const isAway = !this.questions.connected();
    for (const [address, entry] of this.entries) {
      if (entry.waiting.length === 0) continue;
      const answer = this.lastOf(address);
      if (answer === undefined) continue;
      if (!isAway && (answer.identity === '' || nowMs - entry.askedMs < ANSWERS_WITHIN_MS)) continue;
      entry.answer = answer;
      for (const then of entry.waiting.splice(0)) then(answer);
    }
  }
}

function isAlike(a: PodAddress, b: PodAddress): boolean {
  return a.identity === b.identity && JSON.stringify(a.bypassed) === JSON.stringify(b.bypassed);
}
