// What the injector counts. The page has the fields of InjectorMetrics in their order: a new metric is a new field.

import { VERSION } from '#core/contract/version.ts';
import type { Exposition } from '#core/program/exposition.ts';
import { Counter, Gauge, Histogram, type Metric } from '#core/program/metrics.ts';
import { processMetrics } from '#core/program/process-metrics.ts';

export type Outcome = 'injected' | 'skipped' | 'denied' | 'failed';

export class InjectorMetrics {
  /** `reason` is CamelCase, of a bounded set; '' where there is none. */
  readonly reviews = new Counter({
    name: 'weft_injector_reviews_total',
    help: 'Pods that were asked about, by result and reason.',
    labelNames: ['result', 'reason'],
  });
  /** By HTTP status. */
  readonly refusedRequests = new Counter({
    name: 'weft_injector_refused_requests_total',
    help: 'Requests that were no reviews, by status.',
    labelNames: ['status'],
  });
  readonly reviewDuration = new Histogram({
    name: 'weft_injector_review_duration_seconds',
    help: 'Time from a review to its answer.',
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5],
  });
  /** At start, on rotation and after others' edits. */
  readonly bundlePatches = new Counter({
    name: 'weft_injector_ca_bundle_patches_total',
    help: "Times the webhook's caBundle was set.",
  });
  /** 0: there is none yet, as with the next one. */
  readonly certificateExpiry = new Gauge({
    name: 'weft_injector_certificate_expiry_timestamp_seconds',
    help: 'End of the serving certificate, Unix time.',
  });
  readonly authorityExpiry = new Gauge({
    name: 'weft_injector_authority_expiry_timestamp_seconds',
    help: "End of the webhook's own authority, Unix time.",
  });

  /** Counts one review. */
  count(result: Outcome, reason: string): void {
    this.reviews.inc({ result, reason });
  }

  /** Notes how long a review took. @param ms less than 0 where the machine's clock was set back meanwhile */
  took(ms: number): void {
    this.reviewDuration.observe(Math.max(0, ms) / 1000);
  }

  /** Puts all families on the page. */
  write(out: Exposition): void {
    for (const metric of Object.values(this) as Metric[]) metric.write(out);
    out.add(processMetrics({ program: 'injector', version: VERSION }));
  }
}
