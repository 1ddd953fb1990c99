// The injector's plain HTTP port: probes and metrics.
import { shedGreediest } from '#core/program/connection-bounds.ts';
import type { Exposition } from '#core/program/exposition.ts';
import { type HttpPort, openHttpPort } from '#core/program/http-port.ts';

const MOST_CONNECTIONS = 100;

export interface HealthDeps {
  /** '': all addresses there are. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** '' when pods can be injected, else what is missing. */
  readonly notReady: () => string;
  /** Puts what is counted on a page. */
  readonly metrics: (out: Exposition) => void;
}

/** Serves /livez, /readyz and /metrics. @throws the system's error when the address is taken */
export function startHealth({ host, port, notReady, metrics }: HealthDeps): Promise<HttpPort> {
  return openHttpPort({
    host,
    port,
    bound: (server) => shedGreediest(server, MOST_CONNECTIONS),
    ready: () => {
      const missing = notReady();
      return missing === '' ? { notes: [] } : { missing };
    },
    metrics,
  });
}
