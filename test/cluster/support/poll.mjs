// Kept connections that ask all the time: how soon a changed route is in force on every one of them.
import { grpcCall, Kept } from './calls.mjs';

export class Poll {
  #order;
  #connections;
  #stopped = false;
  #waiting;

  /**
   * @param order { to, header?: the response header to watch; without: the pod that answers, connections?, everyMs?,
   * path?, headers? }
   */
  constructor(order) {
    this.#order = order;
    this.#connections = Array.from({ length: order.connections ?? 4 }, () => ({ kept: new Kept(order.to), value: undefined, sinceMs: 0 }));
    for (const connection of this.#connections) void this.#ask(connection);
  }

  async #ask(connection) {
    while (!this.#stopped) {
      const result = await grpcCall(connection.kept.session, this.#order);
      const value = this.#order.header === undefined ? result.hostname : result.headers?.[this.#order.header];
      if (value !== connection.value) {
        connection.value = value;
        connection.sinceMs = performance.timeOrigin + performance.now();
        this.#check();
      }
      await new Promise((resolve) => setTimeout(resolve, this.#order.everyMs ?? 5));
    }
    connection.kept.close();
  }

  #check() {
    if (this.#waiting === undefined || this.#connections.some(({ value }) => value !== this.#waiting.value)) return;
    this.#waiting.resolve({ atMs: Math.max(...this.#connections.map(({ sinceMs }) => sinceMs)) });
    this.#waiting = undefined;
  }

  /** Resolves with the time (ms since the epoch) at which the last connection had begun to show the value. */
  expect({ value }) {
    return new Promise((resolve) => {
      this.#waiting = { value, resolve };
      this.#check();
    });
  }

  look() {
    return { values: this.#connections.map(({ value }) => value ?? null) };
  }

  async stop() {
    this.#stopped = true;
    return this.look();
  }
}
