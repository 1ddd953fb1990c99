// What the injector counts, and its families for the metrics page.

import { VERSION } from '#core/contract/version.ts';
import { boundText, counter, type Exposition, type Family, gauge, labelText } from '#core/program/exposition.ts';
import { processMetrics } from '#core/program/process-metrics.ts';

export type Outcome = 'injected' | 'skipped' | 'denied' | 'failed';

const BOUNDS_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5];
const DURATION = 'weft_injector_review_duration_seconds';

export class InjectorMetrics {
  /** How often the webhook's caBundle was set, at start, on rotation and after others' edits. */
  bundlePatches = 0;
  /** Unix ms; 0: there is none yet. */
  leafNotAfterMs = 0;
  authorityNotAfterMs = 0;
  /** Requests that were no reviews, by HTTP status. */
  private readonly refused = new Map<number, number>();
  private readonly outcomes = new Map<string, { readonly result: Outcome; readonly reason: string; count: number }>();
  private readonly buckets = BOUNDS_SECONDS.map(() => 0);
  private total = 0;
  private totalSeconds = 0;

  /** Counts one review. @param reason CamelCase, of a bounded set; '' where there is none */
  count(result: Outcome, reason: string): void {
    const key = `${result} ${reason}`;
    let outcome = this.outcomes.get(key);
    if (outcome === undefined) this.outcomes.set(key, (outcome = { result, reason, count: 0 }));
    outcome.count++;
  }

  /** Notes how long a review took. @param ms less than 0 where the machine's clock was set back meanwhile: a sum that falls looks like a restart */
  took(ms: number): void {
    const seconds = Math.max(0, ms) / 1000;
    this.total++;
    this.totalSeconds += seconds;
    const at = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.buckets[at]++;
  }

  /** Counts a request that was refused before anybody read it as a review. */
  refuse(status: number): void {
    this.refused.set(status, (this.refused.get(status) ?? 0) + 1);
  }

  /** How many reviews had this outcome, whatever the reason. @param reason only those with it */
  outcomeCount(result: Outcome, reason?: string): number {
    let sum = 0;
    for (const outcome of this.outcomes.values()) {
      if (outcome.result === result && (reason === undefined || outcome.reason === reason)) sum += outcome.count;
    }
    return sum;
  }

  /** Puts all families on the page. */
  write(out: Exposition): void {
    out.add([this.reviews(), this.refusals()]);
    out.family(DURATION, 'histogram', 'Time from a review to its answer.');
    let below = 0;
    BOUNDS_SECONDS.forEach((bound, i) => {
      below += this.buckets[i];
      out.sample(`${DURATION}_bucket`, labelText({ le: boundText(bound) }), below);
    });
    out.sample(`${DURATION}_bucket`, labelText({ le: boundText(Number.POSITIVE_INFINITY) }), this.total);
    out.sample(`${DURATION}_sum`, '', this.totalSeconds);
    out.sample(`${DURATION}_count`, '', this.total);
    out.add([
      counter('weft_injector_ca_bundle_patches_total', "Times the webhook's caBundle was set.", this.bundlePatches),
      gauge('weft_injector_certificate_expiry_timestamp_seconds', 'End of the serving certificate, Unix time.', this.leafNotAfterMs / 1000),
      gauge(
        'weft_injector_authority_expiry_timestamp_seconds',
        "End of the webhook's own authority, Unix time.",
        this.authorityNotAfterMs / 1000,
      ),
      ...processMetrics({ program: 'injector', version: VERSION }),
    ]);
  }

  private reviews(): Family {
    return {
      name: 'weft_injector_reviews_total',
      type: 'counter',
      help: 'Pods that were asked about, by result and reason.',
      samples: Array.from(this.outcomes.values(), ({ result, reason, count }) => ({ labels: { result, reason }, value: count })),
    };
  }

  private refusals(): Family {
    return {
      name: 'weft_injector_refused_requests_total',
      type: 'counter',
      help: 'Requests that were no reviews, by status.',
      samples: Array.from(this.refused, ([status, count]) => ({ labels: { status: `${status}` }, value: count })),
    };
  }
}
