// The metrics page of every program: Prometheus text 0.0.4 and OpenMetrics 1.0
// (prometheus.io/docs/specs/om/open_metrics_spec), one family at a time.

export type Labels = Readonly<Record<string, string>>;

export type Format = 'text' | 'openmetrics';

/** `info` is a gauge that is always 1 to the older format. */
export type FamilyType = 'counter' | 'gauge' | 'histogram' | 'info';

/** A call that shows what a sample is made of. `value` in the unit of the family. */
export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  /** Unix ms. */
  readonly atMs: number;
}

/** One metric with its samples, where there are few of them. A counter's name ends in _total, an info's in _info. */
export interface Family {
  readonly name: string;
  readonly type: Exclude<FamilyType, 'histogram'>;
  readonly help: string;
  /** `labels` may be the text of labelText(). */
  readonly samples: readonly { readonly labels?: Labels | string; readonly value: number }[];
}

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** What an exemplar's labels may be long together, names included (OpenMetrics 1.0, Exemplars). */
const MAX_EXEMPLAR_CHARACTERS = 128;
const TRACE_ID = 'trace_id';

/** Label pairs as they stand between the braces; made once per series, because a page may have thousands of samples. */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([label, text]) => `${label}="${escapeLabel(text)}"`)
    .join(',');
}

/**
 * A bucket's bound: both formats get OpenMetrics' canonical form ("1.0"), so that a series has the same name in each.
 */
export function boundText(bound: number): string {
  return bound === Number.POSITIVE_INFINITY ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}

/**
 * The format for an Accept header: OpenMetrics where the header names it with a quality no lower than text's. Wildcards
 * mean text, which everything reads.
 * @param accept undefined: the header is absent
 */
export function formatFor(accept: string | undefined): Format {
  let openmetrics = 0;
  let text = 0;
  for (const range of (accept ?? '').split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const quality = qualityOf(parameters);
    const version = parameters.find((parameter) => parameter.startsWith('version='))?.slice('version='.length);
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0')) {
      openmetrics = Math.max(openmetrics, quality);
    } else if (type === 'text/plain') text = Math.max(text, quality);
  }
  return openmetrics > 0 && openmetrics >= text ? 'openmetrics' : 'text';
}

/** A page that is being written. */
export class Exposition {
  private readonly format: Format;
  private readonly lines: string[] = [];

  constructor(format: Format) {
    this.format = format;
  }

  /** Begins a family; its samples follow. @param name with the suffix that the type demands: _total, _info */
  family(name: string, type: FamilyType, help: string): void {
    if (this.format === 'text') {
      this.lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type === 'info' ? 'gauge' : type}`);
      return;
    }
    const suffix = type === 'counter' ? '_total' : type === 'info' ? '_info' : '';
    const family = name.slice(0, name.length - suffix.length);
    this.lines.push(`# TYPE ${family} ${type}`, `# HELP ${family} ${escapeLabel(help)}`);
  }

  /**
   * @param labels from labelText(); '' for none
   * @param exemplar of counters and buckets; text 0.0.4 has none
   */
  sample(name: string, labels: string, value: number, exemplar: Exemplar | null = null): void {
    const line = labels === '' ? `${name} ${formatNumber(value)}` : `${name}{${labels}} ${formatNumber(value)}`;
    this.lines.push(exemplar === null || this.format === 'text' ? line : line + exemplarText(exemplar));
  }

  /** Whole families. */
  add(families: Iterable<Family>): void {
    for (const { name, type, help, samples } of families) {
      this.family(name, type, help);
      for (const { labels = '', value } of samples) this.sample(name, typeof labels === 'string' ? labels : labelText(labels), value);
    }
  }

  toString(): string {
    return `${this.lines.join('\n')}\n${this.format === 'openmetrics' ? '# EOF\n' : ''}`;
  }
}

/** A gauge with one sample. */
export function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ value }] };
}

/** A counter with one sample. @param name ends in _total */
export function counter(name: string, help: string, value: number): Family {
  return { name, type: 'counter', help, samples: [{ value }] };
}

/** A counter split by one label. @param name ends in _total @param counts from the label's values, a closed set */
export function counters(name: string, label: string, help: string, counts: Iterable<readonly [string, number]>): Family {
  return { name, type: 'counter', help, samples: Array.from(counts, ([text, value]) => ({ labels: { [label]: text }, value })) };
}

function exemplarText({ traceId, value, atMs }: Exemplar): string {
  if (TRACE_ID.length + traceId.length > MAX_EXEMPLAR_CHARACTERS) return '';
  return ` # {${TRACE_ID}="${escapeLabel(traceId)}"} ${formatNumber(value)} ${(atMs / 1000).toFixed(3)}`;
}

function qualityOf(parameters: readonly string[]): number {
  const text = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = text === undefined ? 1 : Number(text.slice('q='.length));
  return quality >= 0 && quality <= 1 ? quality : 0;
}

/** A half of a surrogate pair alone is no UTF-8: it becomes U+FFFD. */
function escapeLabel(text: string): string {
  return text.toWellFormed().replace(/["\\\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

function escapeHelp(text: string): string {
  return text.toWellFormed().replace(/[\\\n]/g, (character) => (character === '\n' ? '\\n' : '\\\\'));
}

function formatNumber(value: number): string {
  if (Number.isFinite(value)) return `${value}`;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
