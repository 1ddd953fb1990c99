// Finds the counters of a planned call: the bridge between forwarding and the series.
import type { Plan } from '../forward/plan.ts';
import type { CallSeries, SeriesSource } from '../forward/series.ts';
import type { BackendRecord, ServicePortRef } from '../route/records.ts';
import type { SidecarMetrics } from './metrics.ts';

/** Who calls, and over what: fixed for a direction and peer. */
export interface SeriesOrigin {
  readonly direction: 'outbound' | 'inbound';
  /** Outbound: this workload. Inbound: the peer's SPIFFE id, '' for plaintext. */
  caller(): string;
  /** Inbound: whether the peer came over mTLS; null: the call's own endpoint decides. */
  readonly mtls: boolean | null;
}

export function newSeriesSource(metrics: SidecarMetrics, origin: SeriesOrigin): SeriesSource {
  return {
    series(plan: Plan, backend: BackendRecord | null, mtls: boolean): CallSeries {
      const { rule, port, method, grpc } = plan;
      const route = rule?.route ?? null;
      return metrics.requests.seriesFor(
        {
          direction: origin.direction,
          caller: origin.caller(),
          service: labelOf(port.service),
          route: route === null ? '' : `${route.kind}/${route.namespace}/${route.name}`,
          rule: route === null ? '' : rule!.name || `${rule!.index}`,
          method,
          backend: backend === null ? '' : labelOf(backend.ref),
          mtls: origin.mtls ?? mtls,
          grpc,
        },
        port.table?.byPath.has(`/${method}`) ?? false,
      );
    },
    proxyError: (label) => metrics.proxyErrors.add(label),
    retried: () => {
      metrics.retries++;
    },
  };
}

/** By name, never by address: of a pod's own port that is its workload. */
function labelOf({ namespace, name, port }: ServicePortRef): string {
  return `${namespace}/${name}:${port}`;
}
