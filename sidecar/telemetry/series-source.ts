// Finds the counters of a planned call: the bridge between forwarding and the series.
import type { CallOrigin } from '../forward/ended-call.ts';
import type { Plan } from '../forward/plan.ts';
import type { CallSeries, SeriesSource } from '../forward/series.ts';
import type { BackendRecord, ServicePortRef } from '../route/records.ts';
import type { SidecarMetrics } from './metrics.ts';

export function newSeriesSource(metrics: SidecarMetrics, origin: CallOrigin): SeriesSource {
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
    reset: (side, reason) => metrics.streamResets.add(side, reason),
  };
}

/** By name, never by address: of a pod's own port that is its workload. */
export function labelOf({ namespace, name, port }: ServicePortRef): string {
  return `${namespace}/${name}:${port}`;
}
