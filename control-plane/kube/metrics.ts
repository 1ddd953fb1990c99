// Metrics of what ties the control plane to the API server.
import { type Family, gauge } from '../view/metrics.ts';
import type { Surroundings } from '../view/status.ts';
import type { StatusCounts } from './status-writer.ts';
import type { ReviewCounts } from './token-review.ts';

/** @param nowMs Unix ms */
export function clusterMetrics(around: Surroundings, statuses: StatusCounts, reviews: ReviewCounts, nowMs: number): Family[] {
  const { reflectors, leader } = around;
  return [
    gauge('weft_control_plane_leader', 'Whether this replica writes statuses and trust bundles.', leader ? 1 : 0),
    {
      name: 'weft_control_plane_reflector_synced',
      type: 'gauge',
      help: 'Whether all objects of a kind are known.',
      samples: reflectors.map(({ kind, synced }) => ({ labels: { kind }, value: synced ? 1 : 0 })),
    },
    {
      name: 'weft_control_plane_reflector_failing',
      type: 'gauge',
      help: 'Whether a kind cannot be followed now; what is known of it stays in force.',
      samples: reflectors.map(({ kind, lastError }) => ({ labels: { kind }, value: lastError === '' ? 0 : 1 })),
    },
    {
      name: 'weft_control_plane_reflector_silence_seconds',
      type: 'gauge',
      help: 'Time since the API server was last heard of a kind; bookmarks count.',
      samples: reflectors
        .filter(({ lastEventMs }) => lastEventMs > 0)
        .map(({ kind, lastEventMs }) => ({ labels: { kind }, value: Math.max(0, nowMs - lastEventMs) / 1000 })),
    },
    byResult('weft_control_plane_status_writes_total', 'Writes of route statuses, by result.', statuses),
    byResult('weft_control_plane_token_reviews_total', 'ServiceAccount tokens judged, by result.', reviews),
  ];
}

function byResult(name: string, help: string, counts: object): Family {
  return {
    name,
    type: 'counter',
    help,
    samples: Object.entries(counts as Record<string, number>).map(([result, value]) => ({ labels: { result }, value })),
  };
}
