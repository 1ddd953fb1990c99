// The control plane's HTTP port: probes and metrics for all, what it knows for callers on this machine.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Family } from '#core/program/exposition.ts';
import { MetricsPage } from '#core/program/metrics-page.ts';
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

export interface View {
  readonly port: number;
  close(): Promise<void>;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Open at once. */
export const MOST_CONNECTIONS = 100;

const TEXT = 'text/plain; charset=utf-8';

/**
 * Serves /livez, /readyz, /metrics, and on loopback /status and /debug/resources.
 * @throws Error when the address is taken
 */
export async function startView(settings: ViewDeps): Promise<View> {
  const metrics = new MetricsPage((page) => {
    page.add(controlPlaneMetrics(settings.serving(), settings.metrics?.() ?? [], Date.now()));
  });
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000, maxHeaderSize: 8192 },
    (request, response) => {
      if (isRead(request.method) && pathOf(request) === '/metrics') metrics.answer(request, response);
      else answer(response, request.method, pageOf(request, settings));
    },
  );
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // The oldest goes, not the newest: a caller that fills the port with idle connections must not keep the kubelet's
    // probe out, which would have us restarted.
    if (open.size > MOST_CONNECTIONS) for (const oldest of open) return void oldest.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.port, settings.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function pageOf(request: IncomingMessage, settings: ViewDeps): Page {
  const serving = settings.serving();
  if (!isRead(request.method)) return { status: 405, type: TEXT, body: 'only GET\n' };
  switch (pathOf(request)) {
    case '/livez':
      return { status: 200, type: TEXT, body: 'ok\n' };
    case '/readyz': {
      const verdict = settings.ready();
      return verdict === true
        ? { status: 200, type: TEXT, body: ['ok', ...settings.around().problems].join('\n').concat('\n') }
        : { status: 503, type: TEXT, body: `${verdict}\n` };
    }
    // These name every Service and pod, so they are for callers on this machine, and those with the right to forward a
    // port to this pod.
    case '/status':
      return isLoopback(request.socket.remoteAddress) ? json(statusReport(serving, settings.around())) : NOT_FOUND;
    case '/debug/resources':
      return isLoopback(request.socket.remoteAddress) && serving !== null ? json(dump(serving)) : NOT_FOUND;
    default:
      return NOT_FOUND;
  }
}

function isRead(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD';
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0];
}

const NOT_FOUND: Page = { status: 404, type: TEXT, body: 'not found\n' };

function json(value: unknown): Page {
  return { status: 200, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
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

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/.test(address);
}

function answer(response: ServerResponse, method: string | undefined, page: Page): void {
  const body = Buffer.from(page.body);
  response.writeHead(page.status, {
    'content-type': page.type,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(method === 'HEAD' ? undefined : body);
}
