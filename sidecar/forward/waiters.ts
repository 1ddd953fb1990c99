// Calls that wait for a connection to one endpoint, first come first served: bounded in number and in time.
import type { MessageConnection } from '../http/connection.ts';
import type { ProxyError } from './errors.ts';

/** So many calls may wait for one endpoint at a time; a further one is answered at once (endpoint_full). */
export const MAX_WAITERS_PER_ENDPOINT = 4096;
/** A call waits so long, in ms (and at most a tick of 1 s more), unless its own deadline comes first. */
export const MAX_WAIT_MS = 5_000;

/** A call that waits for a connection. One of the two functions is called once, unless the call cancels. */
export interface Waiter {
  onConnection(connection: MessageConnection): void;
  onNoConnection(error: ProxyError, detail: string): void;
}

interface Place {
  readonly waiter: Waiter;
  readonly sinceMs: number;
}

export class Waiters {
  private places: Place[] = [];
  private readonly onChange: (change: number) => void;

  /** @param onChange hears by how many the number of waiting calls changed */
  constructor(onChange: (change: number) => void) {
    this.onChange = onChange;
  }

  get length(): number {
    return this.places.length;
  }

  get full(): boolean {
    return this.places.length >= MAX_WAITERS_PER_ENDPOINT;
  }

  add(waiter: Waiter, nowMs: number): void {
    this.places.push({ waiter, sinceMs: nowMs });
    this.onChange(1);
  }

  /** Does nothing for a call that does not wait. */
  cancel(waiter: Waiter): void {
    const at = this.places.findIndex((place) => place.waiter === waiter);
    if (at < 0) return;
    this.places.splice(at, 1);
    this.onChange(-1);
  }

  /** Gives the connection to those that came first, as long as it has room. */
  serve(connection: MessageConnection): void {
    while (this.places.length > 0 && connection.canOpen) {
      const { waiter } = this.places.shift()!;
      this.onChange(-1);
      waiter.onConnection(connection);
    }
  }

  /** There is no connection for those that wait now. What they do in answer may wait again. */
  failAll(error: ProxyError, detail: string): void {
    const { places } = this;
    this.places = [];
    this.onChange(-places.length);
    for (const { waiter } of places) waiter.onNoConnection(error, detail);
  }

  /** The first one that has waited too long leaves. @returns null: none has */
  expired(nowMs: number): Waiter | null {
    if (this.places.length === 0 || nowMs - this.places[0].sinceMs < MAX_WAIT_MS) return null;
    this.onChange(-1);
    return this.places.shift()!.waiter;
  }
}
