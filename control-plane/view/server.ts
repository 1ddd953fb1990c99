// The control plane's HTTP port: probes and metrics for all, what it knows for callers on this machine.
import type { IncomingMessage } from 'node:http';
import { dropOldest } from '#core/program/connection-bounds.ts';
import type { Family } from '#core/program/exposition.ts';
import { type HttpPort, isLoopback, jsonPage, openHttpPort, type Page } from '#core/program/http-port.ts';
import type { ControlPlane } from '../program/assemble.ts';
import { controlPlaneMetrics } from './metrics.ts';
import { type Surroundings, statusReport } from './status.ts';

export interface ViewSettings {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** null: it does not serve yet. */
  readonly controlPlane: () => ControlPlane | null;
  /** Whether configuration is served; a reason when it is not. */
  readonly ready: () => true | string;
  /** Of what stands around the control plane; its own metrics and problems come by themselves. */
  readonly metrics?: () => readonly Family[];
  readonly around: () => Surroundings;
}

/** Open at once; past it the oldest goes: one that fills the port with idle connections must not keep the kubelet's probe out. */
export const MOST_CONNECTIONS = 100;

/** Serves /livez, /readyz, /metrics, and on loopback /status and /debug/resources. @throws Error when the address is taken */
export function startView(settings: ViewSettings): Promise<HttpPort> {
  const { host, port, controlPlane, ready, around } = settings;
  return openHttpPort({
    host,
    port,
    bound: (server) => dropOldest(server, MOST_CONNECTIONS),
    ready: () => {
      const verdict = ready();
      return verdict === true ? { notes: around().problems } : { missing: verdict };
    },
    metrics: (out) => out.add(controlPlaneMetrics(controlPlane(), settings.metrics?.() ?? [], Date.now())),
    page: (path, request) => pageOf(path, request, settings),
    headers: { 'x-content-type-options': 'nosniff' },
  });
}

/** These name every Service and pod: only a caller on this machine, or one that may forward a port to this pod, gets them. */
function pageOf(path: string, request: IncomingMessage, settings: ViewSettings): Page | null {
  if (!isLoopback(request.socket.remoteAddress)) return null;
  const controlPlane = settings.controlPlane();
  if (path === '/status') return jsonPage(statusReport(controlPlane, settings.around()));
  return path === '/debug/resources' && controlPlane !== null ? jsonPage(dump(controlPlane)) : null;
}

function dump(controlPlane: ControlPlane): unknown {
  const { publisher } = controlPlane;
  return {
    services: [...publisher.catalogue.keys()].sort(),
    routes: controlPlane.routeStates(),
    problems: controlPlane.problems(),
    sidecars: publisher.sidecars().map((sidecar) => ({ ...sidecar.peer, wants: [...sidecar.wanted()].sort(), ...sidecar.dump() })),
  };
}
