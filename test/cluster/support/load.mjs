// A steady load from a pod: calls at a rate over kept connections, every one accounted for.
import { deploymentOf, grpcCall, Kept } from './calls.mjs';

const TICK_MS = 10;
const MAX_IN_FLIGHT = 2000;
const MAX_ERROR_TEXTS = 20;

export class Load {
  #order;
  #kept;
  #timer;
  #startedMs = performance.now();
  #sent = 0;
  #inFlight = 0;
  #total = empty();
  #window = empty();
  #stopping;

  /** @param order { to, rps, connections?, path?, headers?, timeoutMs? } */
  constructor(order) {
    this.#order = order;
    this.#kept = Array.from({ length: order.connections ?? 2 }, () => new Kept(order.to));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  #tick() {
    const due = Math.floor(((performance.now() - this.#startedMs) / 1000) * this.#order.rps);
    while (this.#sent < due) {
      this.#sent++;
      if (this.#inFlight >= MAX_IN_FLIGHT) this.#account({ error: 'too many calls in flight' });
      else void this.#call(this.#kept[this.#sent % this.#kept.length]);
    }
  }

  async #call(kept) {
    this.#inFlight++;
    const result = await grpcCall(kept.session, this.#order);
    this.#inFlight--;
    this.#account(result);
    if (this.#inFlight === 0) this.#stopping?.();
  }

  #account(result) {
    for (const counts of [this.#total, this.#window]) count(counts, result);
  }

  /** What happened since the last look, and in all. */
  look() {
    const window = this.#window;
    this.#window = empty();
    return { window, total: this.#total, connectionsMade: this.#kept.reduce((sum, { made }) => sum + made, 0) };
  }

  /** Ends after the calls in flight. */
  async stop() {
    clearInterval(this.#timer);
    if (this.#inFlight > 0) await new Promise((resolve) => (this.#stopping = resolve));
    for (const kept of this.#kept) kept.close();
    return this.look();
  }

  async expect() {
    throw new Error('a load expects nothing');
  }
}

function empty() {
  return { calls: 0, ok: 0, failed: 0, errors: {}, answers: {} };
}

function count(counts, result) {
  counts.calls++;
  if (result.grpcStatus === 0) {
    counts.ok++;
    const by = deploymentOf(result.hostname);
    counts.answers[by] = (counts.answers[by] ?? 0) + 1;
    return;
  }
  counts.failed++;
  const text = result.error ?? `grpc-status ${result.grpcStatus}: ${result.message}`;
  if (text in counts.errors || Object.keys(counts.errors).length < MAX_ERROR_TEXTS) counts.errors[text] = (counts.errors[text] ?? 0) + 1;
}
