// The way to the control plane: the addresses of its name, then a TCP connection to one of them. Each has a short bound
// of its own, because while the control plane rolls a connection may go to a pod that has just left and is never
// answered; the next one goes elsewhere (kube-proxy chooses an endpoint for each connection).
import dns from 'node:dns';
import net from 'node:net';
import type { Timers } from '#core/program/timers.ts';

/** A resolver that has not answered by then counts as failed, in ms: addresses that are known from before serve. */
export const RESOLVE_TIMEOUT_MS = 1000;
/** All tries of one call must be done by then, in ms: on a pod network a connection comes at once or never. */
export const CONNECT_TIMEOUT_MS = 1500;
/** The next try begins so long after one that is not answered, which goes on, in ms. */
export const NEXT_TRY_MS = 250;
/** After a try that was refused the next one comes within this time, in ms. */
export const REFUSED_PAUSE_MS = 50;
export const MOST_TRIES = 4;
/** A lookup cannot be taken back and holds a thread: so many are under way at most. */
const MOST_LOOKUPS = 2;

/** A name's addresses. @throws the resolver's error */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface ReachDeps {
  readonly host: string;
  readonly port: number;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** Default: the system's resolver. */
  readonly lookup?: Lookup;
  /** Default: net.connect. */
  readonly connect?: (address: string, port: number) => net.Socket;
}

export class Reach {
  private readonly deps: ReachDeps;
  private lookups = 0;
  private known: readonly string[] = [];

  constructor(deps: ReachDeps) {
    this.deps = deps;
  }

  /** A TCP connection. @throws Error whose message says what was missing: an address, or an answer */
  async open(): Promise<net.Socket> {
    return this.connect(await this.addresses());
  }

  private async addresses(): Promise<readonly string[]> {
    const { host, timers, lookup = systemLookup } = this.deps;
    if (net.isIP(host) !== 0) return [host];
    if (this.lookups < MOST_LOOKUPS) {
      this.lookups++;
      const found = lookup(host).finally(() => this.lookups--);
      try {
        this.known = await within(timers, RESOLVE_TIMEOUT_MS, found, `its name was not resolved within ${RESOLVE_TIMEOUT_MS / 1000} s`);
      } catch (error) {
        // A Service keeps its address.
        if (this.known.length === 0) throw error;
      }
    }
    if (this.known.length === 0) throw new Error('its name is not resolved: the resolver does not answer');
    return this.known;
  }

  /** The first of a few connections that is there; the others are dropped. */
  private connect(addresses: readonly string[]): Promise<net.Socket> {
    const { port, timers, random, connect = plainConnect } = this.deps;
    const first = Math.floor(random() * addresses.length);
    const trying = new Set<net.Socket>();
    let tries = 0;
    let failure = '';
    let stopNext = (): void => {};
    return new Promise((resolve, reject) => {
      const end = (): void => {
        stopNext();
        stopAll();
        for (const socket of trying) socket.destroy();
      };
      const stopAll = timers.after(CONNECT_TIMEOUT_MS, () => {
        end();
        reject(new Error(failure || `no TCP connection within ${CONNECT_TIMEOUT_MS / 1000} s`));
      });
      const nextIn = (ms: number): void => {
        stopNext();
        if (tries < MOST_TRIES) stopNext = timers.after(ms, begin);
      };
      const begin = (): void => {
        const socket = connect(addresses[(first + tries++) % addresses.length]!, port);
        trying.add(socket);
        const onError = (error: NodeJS.ErrnoException): void => {
          failure = error.code ?? error.message;
          trying.delete(socket);
          socket.destroy();
          if (tries < MOST_TRIES) return nextIn(REFUSED_PAUSE_MS * random());
          if (trying.size > 0) return;
          end();
          reject(new Error(failure));
        };
        socket.once('error', onError);
        socket.once('connect', () => {
          socket.off('error', onError);
          trying.delete(socket);
          end();
          resolve(socket);
        });
        nextIn(NEXT_TRY_MS * (0.75 + random() / 2));
      };
      begin();
    });
  }
}

/** Not by dns.promises, which is a module more. */
const systemLookup: Lookup = (host) =>
  new Promise((resolve, reject) => {
    dns.lookup(host, { all: true }, (error, found) => (error === null ? resolve(found.map(({ address }) => address)) : reject(error)));
  });

function plainConnect(host: string, port: number): net.Socket {
  return net.connect({ host, port, noDelay: true });
}

function within<T>(timers: Timers, ms: number, action: Promise<T>, late: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = timers.after(ms, () => reject(new Error(late)));
    action.then(resolve, (error: NodeJS.ErrnoException) => reject(new Error(error.code ?? error.message))).finally(stop);
  });
}
