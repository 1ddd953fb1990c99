// The injector's metrics as Prometheus text (exposition format 0.0.4).

export type Outcome = 'injected' | 'skipped' | 'denied' | 'failed';

const BOUNDS_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5];

export class InjectorMetrics {
  /** How often the webhook's caBundle was set, at start, on rotation and after others' edits. */
  bundlePatches = 0;
  /** Unix ms; 0: there is none yet. */
  leafNotAfterMs = 0;
  authorityNotAfterMs = 0;
  /** Requests that were no reviews, by HTTP status. */
  private readonly refused = new Map<number, number>();
  private readonly outcomes = new Map<string, number>();
  private readonly buckets = BOUNDS_SECONDS.map(() => 0);
  private total = 0;
  private totalSeconds = 0;

  /** Counts one review. @param reason CamelCase, of a bounded set; '' where there is none */
  count(outcome: Outcome, reason: string): void {
    const labels = `result="${outcome}",reason="${reason}"`;
    this.outcomes.set(labels, (this.outcomes.get(labels) ?? 0) + 1);
  }

  /** Notes how long a review took. */
  took(ms: number): void {
    const seconds = ms / 1000;
    this.total++;
    this.totalSeconds += seconds;
    const at = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.buckets[at]++;
  }

  /** Counts a request that was refused before anybody read it as a review. */
  refuse(status: number): void {
    this.refused.set(status, (this.refused.get(status) ?? 0) + 1);
  }

  /** How many reviews had this outcome, whatever the reason. */
  outcomeCount(outcome: Outcome): number {
    let sum = 0;
    for (const [labels, count] of this.outcomes) if (labels.startsWith(`result="${outcome}"`)) sum += count;
    return sum;
  }

  /** The text of GET /metrics. */
  text(): string {
    const reviews = [...this.outcomes].map(([labels, count]): [string, number] => [`{${labels}}`, count]);
    const refused = [...this.refused].map(([status, count]): [string, number] => [`{status="${status}"}`, count]);
    let below = 0;
    const buckets = BOUNDS_SECONDS.map(
      (bound, i) => `weft_injector_review_duration_seconds_bucket{le="${bound}"} ${(below += this.buckets[i])}\n`,
    );
    return [
      family('weft_injector_reviews_total', 'counter', 'Pods that were asked about, by result and reason.', reviews),
      family('weft_injector_refused_requests_total', 'counter', 'Requests that were no reviews, by status.', refused),
      '# HELP weft_injector_review_duration_seconds Time from a review to its answer.\n# TYPE weft_injector_review_duration_seconds histogram\n',
      ...buckets,
      `weft_injector_review_duration_seconds_bucket{le="+Inf"} ${this.total}\n`,
      `weft_injector_review_duration_seconds_sum ${this.totalSeconds}\nweft_injector_review_duration_seconds_count ${this.total}\n`,
      family('weft_injector_ca_bundle_patches_total', 'counter', "Times the webhook's caBundle was set.", [['', this.bundlePatches]]),
      family('weft_injector_certificate_expiry_timestamp_seconds', 'gauge', 'End of the serving certificate, Unix time.', [
        ['', this.leafNotAfterMs / 1000],
      ]),
      family('weft_injector_authority_expiry_timestamp_seconds', 'gauge', "End of the webhook's own authority, Unix time.", [
        ['', this.authorityNotAfterMs / 1000],
      ]),
    ].join('');
  }
}

function family(name: string, type: string, help: string, samples: readonly [labels: string, value: number][]): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map(([labels, value]) => `${name}${labels} ${value}\n`).join('')}`;
}
