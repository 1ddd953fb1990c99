// The injector's plain HTTP port: probes and metrics.
import { createServer } from 'node:http';
import type { Exposition } from '#core/program/exposition.ts';
import { MetricsPage } from '#core/program/metrics-page.ts';
import { boundConnections } from './connections.ts';
import { listenOn } from './listen.ts';

const MOST_CONNECTIONS = 100;

export interface HealthSettings {
  /** '': all addresses there are. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** '' when pods can be injected, else what is missing. */
  readonly notReady: () => string;
  /** Puts what is counted on a page. */
  readonly metrics: (page: Exposition) => void;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

const TEXT = 'text/plain; charset=utf-8';

/** Serves /livez, /readyz and /metrics. @throws Error when the address is taken */
export async function startHealth(settings: HealthSettings): Promise<HealthServer> {
  const metrics = new MetricsPage(settings.metrics);
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000, maxHeaderSize: 8192 },
    (request, response) => {
      const path = (request.url ?? '').split('?')[0];
      const reads = request.method === 'GET' || request.method === 'HEAD';
      if (reads && path === '/metrics') return metrics.answer(request, response);
      const [status, type, text] = reads ? pageOf(path, settings) : [405, TEXT, 'only GET\n'];
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : text);
    },
  );
  boundConnections(server, MOST_CONNECTIONS);
  const port = await listenOn(server, settings.host, settings.port);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function pageOf(path: string, { notReady }: HealthSettings): [status: number, type: string, text: string] {
  if (path === '/livez') return [200, TEXT, 'ok\n'];
  if (path !== '/readyz') return [404, TEXT, 'not found\n'];
  const missing = notReady();
  return missing === '' ? [200, TEXT, 'ok\n'] : [503, TEXT, `${missing}\n`];
}
