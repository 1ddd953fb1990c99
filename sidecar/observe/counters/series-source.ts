// Finds the counters of a planned call: the bridge between forwarding and the series.
import type { CallOrigin } from '../../forward/outcome.ts';
import type { CallDecision, CallSeries, SeriesSource } from '../../forward/series.ts';
import { portLabel, routeLabel, ruleLabel } from '../../route/labels.ts';
import type { BackendRecord } from '../../route/records.ts';
import type { SidecarMetrics } from './metrics.ts';

export function newSeriesSource(metrics: SidecarMetrics, origin: CallOrigin): SeriesSource {
  return {
    series(decision: CallDecision, backend: BackendRecord | null, mtls: boolean): CallSeries {
      const { rule, port, method, grpc } = decision;
      return metrics.requests.seriesFor(
        {
          direction: origin.direction,
          caller: origin.caller(),
          service: portLabel(port.service),
          route: routeLabel(rule),
          rule: ruleLabel(rule),
          method,
          backend: backend === null ? '' : portLabel(backend.ref),
          mtls: origin.mtls ?? mtls,
          grpc,
        },
        port.table?.byPath.has(`/${method}`) ?? false,
      );
    },
    proxyError: (label) => metrics.proxyErrors.add(label),
    retried: () => metrics.retries.add(),
    reset: (side, reason) => metrics.streamResets.add(side, reason),
  };
}
