// The listeners of one direction, as the configuration asks for them now.
import type { Clock } from '../http/clock.ts';
import { type ConnectionHandler, type HandlerOf, Listener } from './listener.ts';

export interface WantedListener {
  /** What it is for, for people; a listener with the same key stays open. */
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly handler: () => ConnectionHandler | HandlerOf;
}

export class ListenerSet {
  private readonly open = new Map<string, Listener>();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Closes those that are not wanted, then opens those that are missing. @returns what could not be opened, and why */
  async become(wanted: readonly WantedListener[]): Promise<string[]> {
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, listener] of this.open) {
      if (keys.has(key)) continue;
      listener.close();
      this.open.delete(key);
    }
    const problems: string[] = [];
    for (const { key, address, port, handler } of wanted) {
      if (this.open.has(key)) continue;
      const listener = new Listener({ address, port }, handler(), this.clock);
      try {
        await listener.listen();
        this.open.set(key, listener);
      } catch (error) {
        problems.push(`${key}: ${(error as Error).message}`);
      }
    }
    return problems;
  }

  /** Takes no new connections. */
  close(): void {
    for (const listener of this.open.values()) listener.close();
    this.open.clear();
  }
}
