// Where sidecars find the control plane whose pods do not ask the cluster's DNS: by the address of its Service.
import type { Timers } from '#core/program/timers.ts';
import type { InjectablePod } from './pod.ts';

/** So long an address is taken for the current one: it changes only when the Service is deleted and made again. */
const FRESH_MS = 30_000;
/** The API server waits five seconds for a webhook's answer. */
const LOOKUP_TIMEOUT_MS = 2000;

/** Whether a pod's resolver does not know the names of Services (kubernetes.io, "Pod's DNS Policy"). */
export function needsAddress({ spec }: InjectablePod): boolean {
  return spec?.dnsPolicy === 'Default' || spec?.dnsPolicy === 'None';
}

export class ControlPlaneAddress {
  private readonly target: string;
  private readonly resolve: (host: string) => Promise<string>;
  private readonly timers: Timers;
  private known = '';
  private knownAtMs = Number.NEGATIVE_INFINITY;

  /**
   * @param target host:port
   * @param resolve a name's first address
   */
  constructor(target: string, resolve: (host: string) => Promise<string>, timers: Timers) {
    this.target = target;
    this.resolve = resolve;
    this.timers = timers;
  }

  /**
   * address:port, an IPv6 address in brackets. The last known one while the name cannot be resolved.
   * @throws Error when it never could be
   */
  async get(): Promise<string> {
    const { timers } = this;
    if (timers.now() - this.knownAtMs < FRESH_MS) return this.known;
    const colon = this.target.lastIndexOf(':');
    const host = this.target.slice(0, colon);
    try {
      const address = await within(this.resolve(host), host, timers);
      this.known = `${address.includes(':') ? `[${address}]` : address}${this.target.slice(colon)}`;
      this.knownAtMs = timers.now();
    } catch (error) {
      if (this.known === '') throw error;
    }
    return this.known;
  }
}

function within(answer: Promise<string>, host: string, timers: Timers): Promise<string> {
  return new Promise((resolve, reject) => {
    const cancel = timers.after(LOOKUP_TIMEOUT_MS, () => reject(new Error(`${host} was not resolved within ${LOOKUP_TIMEOUT_MS} ms`)));
    answer.then(resolve, reject).finally(cancel);
  });
}
