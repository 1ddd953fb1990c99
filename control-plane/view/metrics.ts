// The control plane's families for the metrics page.

import { VERSION } from '#core/contract/version.ts';
import { counter, counters, type Family, gauge } from '#core/program/exposition.ts';
import { processMetrics } from '#core/program/process-metrics.ts';
import type { Serving } from './status.ts';

/**
 * What GET /metrics shows.
 * @param serving null: it does not serve yet
 * @param more of what stands around it
 * @param nowMs Unix ms
 */
export function controlPlaneMetrics(serving: Serving | null, more: readonly Family[], nowMs: number): Family[] {
  return [
    ...(serving === null ? [] : familiesOf(serving, nowMs)),
    ...more,
    ...processMetrics({ program: 'control-plane', version: VERSION }),
  ];
}

function familiesOf({ publisher, issued, authorityNotAfterMs }: Serving, nowMs: number): Family[] {
  const { counters: counted, catalogue } = publisher;
  const sidecars = publisher.sidecars();
  const sent = sidecars.reduce((sum, sidecar) => sum + sidecar.delivery.responses, counted.responses);
  const waitingMs = sidecars.map(({ delivery: { sentMs } }) => (sentMs === 0 ? 0 : Math.max(0, nowMs - sentMs)));
  return [
    gauge('weft_control_plane_sidecars', 'Sidecars that are connected.', sidecars.length),
    gauge(
      'weft_control_plane_sidecars_behind',
      'Sidecars that do not run yet what they should.',
      sidecars.filter((sidecar) => sidecar.delivery.counts.pending > 0).length,
    ),
    gauge(
      'weft_control_plane_oldest_unacknowledged_seconds',
      'The longest that a connected sidecar has not answered to what it was sent; 0: all have.',
      waitingMs.reduce((longest, ms) => Math.max(longest, ms), 0) / 1000,
    ),
    gauge('weft_control_plane_services', 'Services that are known.', [...catalogue.keys()].length),
    gauge(
      'weft_control_plane_translation_failures',
      'Services whose last good version stays because of a defect.',
      catalogue.failures().length,
    ),
    gauge(
      'weft_control_plane_rejected_resources',
      'Resources whose latest version a sidecar refused, summed over sidecars.',
      sidecars.reduce((sum, sidecar) => sum + sidecar.delivery.rejected().length, 0),
    ),
    counter('weft_control_plane_connects_total', 'Configuration streams begun.', counted.connects),
    counter('weft_control_plane_rounds_total', 'Rounds of changes that went out.', counted.rounds),
    counter(
      'weft_control_plane_round_seconds_total',
      'Time from the beginning of the translation of a round until it was sent, summed over rounds.',
      counted.roundMs / 1000,
    ),
    counter('weft_control_plane_responses_total', 'Responses sent on configuration streams.', sent),
    counters('weft_control_plane_rejections_total', 'kind', 'Resources refused by sidecars, by kind.', Object.entries(counted.rejections)),
    counters('weft_control_plane_certificate_requests_total', 'outcome', 'Certificates asked for, by outcome.', Object.entries(issued)),
    gauge(
      'weft_control_plane_authority_expiry_timestamp_seconds',
      "End of the authority's own certificate, Unix time.",
      authorityNotAfterMs / 1000,
    ),
  ];
}
