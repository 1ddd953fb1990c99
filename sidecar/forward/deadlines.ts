// Deadlines of calls on a wheel: adding and removing one costs a few stores, and one timer serves them all.

/** What has a deadline; the wheel keeps its place in these fields. */
export interface Deadline {
  deadlineMs: number;
  wheelNext: Deadline | null;
  wheelPrevious: Deadline | null;
  wheelSlot: number;
  onDeadline(): void;
}

const SLOT_MS = 10;
/** Power of two. The wheel passes the slot of a longer deadline several times before it is due. */
const SLOTS = 512;

export class DeadlineWheel {
  private readonly slots: (Deadline | null)[] = new Array(SLOTS).fill(null);
  private count = 0;
  private timer: NodeJS.Timeout | null = null;
  private doneSlot = 0;
  private readonly now: () => number;

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.now = now;
  }

  add(node: Deadline, deadlineMs: number): void {
    node.deadlineMs = deadlineMs;
    if (this.timer === null) {
      this.doneSlot = Math.floor(this.now() / SLOT_MS);
      this.timer = setInterval(() => this.turn(), SLOT_MS);
    }
    // A slot that was already visited this round would only come up in the next one.
    const due = Math.max(Math.ceil(deadlineMs / SLOT_MS), this.doneSlot + 1);
    const slot = due & (SLOTS - 1);
    node.wheelSlot = slot;
    node.wheelPrevious = null;
    node.wheelNext = this.slots[slot];
    if (node.wheelNext !== null) node.wheelNext.wheelPrevious = node;
    this.slots[slot] = node;
    this.count++;
  }

  /** Does nothing for a node that is not on the wheel (wheelSlot < 0). */
  remove(node: Deadline): void {
    if (node.wheelSlot < 0) return;
    if (node.wheelPrevious !== null) node.wheelPrevious.wheelNext = node.wheelNext;
    else this.slots[node.wheelSlot] = node.wheelNext;
    if (node.wheelNext !== null) node.wheelNext.wheelPrevious = node.wheelPrevious;
    node.wheelSlot = -1;
    node.wheelNext = null;
    node.wheelPrevious = null;
    if (--this.count === 0 && this.timer !== null) {
      clearInterval(this.timer);
      this.timer = null;
    }
  }

  private turn(): void {
    const nowMs = this.now();
    const upTo = Math.floor(nowMs / SLOT_MS);
    // After a long pause one round visits every slot.
    let slot = Math.max(this.doneSlot + 1, upTo - SLOTS + 1);
    this.doneSlot = upTo;
    for (; slot <= upTo; slot++) {
      let node = this.slots[slot & (SLOTS - 1)];
      while (node !== null) {
        let next: Deadline | null = node.wheelNext;
        if (node.deadlineMs <= nowMs) {
          this.remove(node);
          node.onDeadline();
          // onDeadline() may have taken the next one off the wheel.
          if (next !== null && next.wheelSlot !== (slot & (SLOTS - 1))) next = this.slots[slot & (SLOTS - 1)];
        }
        node = next;
      }
    }
  }
}

const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** A grpc-timeout value in ms, or -1 if it is malformed (gRPC over HTTP/2: at most eight digits and a unit). */
export function parseGrpcTimeout(value: string): number {
  const unit = UNIT_MS[value[value.length - 1]];
  if (unit === undefined || !/^[0-9]{1,8}.$/.test(value)) return -1;
  return Number(value.slice(0, -1)) * unit;
}

/** The largest grpc-timeout that is not above ms. */
export function formatGrpcTimeout(ms: number): string {
  if (ms < 100) return `${Math.max(1, Math.floor(ms * 1000))}u`;
  if (ms < 100_000_000) return `${Math.floor(ms)}m`;
  return ms < 100_000_000_000 ? `${Math.floor(ms / 1000)}S` : `${Math.min(99_999_999, Math.floor(ms / 3_600_000))}H`;
}
