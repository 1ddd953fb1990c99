// What the node agent counts. The page has the fields of NodeAgentMetrics in their order: a new metric is a new field.

import { VERSION } from '#core/contract/version.ts';
import type { Exposition } from '#core/program/exposition.ts';
import { Counter, Gauge, Histogram, type Metric } from '#core/program/metrics.ts';
import { processMetrics } from '#core/program/process-metrics.ts';

export class NodeAgentMetrics {
  /** `result`: loaded or failed. */
  readonly loads = new Counter({
    name: 'weft_node_agent_loads_total',
    help: 'Times that capture rules were loaded for a pod, by result.',
    labelNames: ['result'],
  });
  readonly waiting = new Gauge({
    name: 'weft_node_agent_waiting_pods',
    help: 'Pods of this node whose capture rules are not loaded yet.',
  });
  readonly loadDuration = new Histogram({
    name: 'weft_node_agent_load_duration_seconds',
    help: 'Time to load the rules of one pod, once its sandbox is found.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5],
  });
  readonly lookDuration = new Histogram({
    name: 'weft_node_agent_look_duration_seconds',
    help: "Time of one look at the node's processes.",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1],
  });

  /** Puts all families on the page. */
  write(out: Exposition): void {
    for (const metric of Object.values(this) as Metric[]) metric.write(out);
    out.add(processMetrics({ program: 'node-agent', version: VERSION }));
  }
}
