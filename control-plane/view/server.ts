// The control plane's HTTP port: probes and metrics for all, what it knows for callers on this machine.
import type { IncomingMessage } from 'node:http';
import { shedGreediest } from '#core/program/connection-bounds.ts';
import type { Family } from '#core/program/exposition.ts';
import { type HttpPort, isLoopback, jsonPage, openHttpPort, type Page } from '#core/program/http-port.ts';
import { controlPlaneMetrics } from './metrics.ts';
import { type Serving, type StatusAround, statusReport } from './status.ts';

export interface ViewDeps {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** null: it does not serve yet. */
  readonly serving: () => Serving | null;
  /** Whether configuration is served; a reason when it is not. */
  readonly ready: () => true | string;
  /** Of what stands around the control plane; its own metrics and problems come by themselves. */
  readonly metrics?: () => readonly Family[];
  readonly around: () => StatusAround;
}

/**
 * Open at once; past it the greediest address loses its oldest: one that fills the port with idle connections must not
 * keep the kubelet's probe out.
 */
export const MOST_CONNECTIONS = 100;

/**
 * Serves /livez, /readyz, /metrics, and on loopback /status and /debug/resources.
 * @throws Error when the address is taken
 */
export function startView(deps: ViewDeps): Promise<HttpPort> {
  const { host, port, serving, ready, around } = deps;
  return openHttpPort({
    host,
    port,
    bound: (server) => shedGreediest(server, MOST_CONNECTIONS),
    ready: () => {
      const verdict = ready();
      return verdict === true ? { notes: around().problems } : { missing: verdict };
    },
    metrics: (out) => out.add(controlPlaneMetrics(serving(), deps.metrics?.() ?? [], Date.now())),
    page: (path, request) => pageOf(path, request, deps),
    headers: { 'x-content-type-options': 'nosniff' },
  });
}

/**
 * These name every Service and pod: only a caller on this machine, or one that may forward a port to this pod, gets
 * them.
 */
function pageOf(path: string, request: IncomingMessage, deps: ViewDeps): Page | null {
  if (!isLoopback(request.socket.remoteAddress)) return null;
  const serving = deps.serving();
  if (path === '/status') return jsonPage(statusReport(serving, deps.around()));
  return path === '/debug/resources' && serving !== null ? jsonPage(dump(serving)) : null;
}

function dump(serving: Serving): unknown {
  const { publisher } = serving;
  return {
    services: [...publisher.catalogue.keys()].sort(),
    routes: publisher.routeStates(),
    problems: serving.problems(),
    sidecars: publisher
      .sidecars()
      .map((sidecar) => ({ ...sidecar.peer, wants: [...sidecar.wants.keys()].sort(), ...sidecar.delivery.dump() })),
  };
}
