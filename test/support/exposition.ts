// Reads a metrics page as the formats describe it, and objects to anything that they do not allow.

export interface Sample {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly value: number;
  readonly exemplar: { readonly labels: Record<string, string>; readonly value: number; readonly atSeconds: number } | null;
}

export interface Parsed {
  readonly samples: readonly Sample[];
  /** Name of a family as its TYPE line has it → its type. */
  readonly types: ReadonlyMap<string, string>;
  readonly help: ReadonlyMap<string, string>;
}

/** What samples of a type add to their family's name: prometheus.io/docs/specs/om/open_metrics_spec, "Metric Types". */
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ['_total'],
  gauge: [''],
  info: ['_info'],
  histogram: ['_bucket', '_sum', '_count'],
};
const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{((?:[^"\\\\{}]|"(?:[^"\\\\]|\\\\.)*")*)\\})? (\\S+)(?: # \\{(.*)\\} (\\S+) (\\S+))?$`, 's');

/** @throws on anything that the format does not allow */
export function parseExposition(page: string, format: 'text' | 'openmetrics' = 'text'): Parsed {
  const openMetrics = format === 'openmetrics';
  const end = openMetrics ? '\n# EOF\n' : '\n';
  if (!page.endsWith(end)) throw new Error(`the page does not end in ${JSON.stringify(end)}`);
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const help = new Map<string, string>();
  const seen = new Set<string>();
  const groups = new Set<string>();
  let family = '';
  let group = '';
  for (const line of page.slice(0, -end.length).split('\n')) {
    const header = /^# (HELP|TYPE) (\S+) (.*)$/s.exec(line);
    if (header !== null) {
      const of = header[1] === 'TYPE' ? types : help;
      if (of.has(header[2])) throw new Error(`${header[1]} twice: ${header[2]}`);
      of.set(header[2], header[3]);
      family = header[2];
      continue;
    }
    const match = SAMPLE.exec(line);
    if (match === null) throw new Error(`not a sample: ${line}`);
    const type = types.get(family) ?? '';
    const suffixes = openMetrics || type === 'histogram' ? SUFFIXES[type] : [''];
    if (suffixes === undefined) throw new Error(`${family} is a ${type}`);
    if (!suffixes.some((suffix) => match[1] === family + suffix)) throw new Error(`${match[1]} stands under ${family}, a ${type}`);
    const labels = parseLabels(match[2] ?? '');
    const exemplar =
      match[4] === undefined ? null : { labels: parseLabels(match[4]), value: Number(match[5]), atSeconds: Number(match[6]) };
    if (exemplar !== null) {
      if (!openMetrics || !/_(bucket|total)$/.test(match[1])) throw new Error(`no exemplar may stand here: ${line}`);
      if (Object.entries(exemplar.labels).flat().join('').length > 128) throw new Error(`exemplar of more than 128 characters: ${line}`);
      if (!Number.isFinite(exemplar.value) || !Number.isFinite(exemplar.atSeconds)) throw new Error(`exemplar without numbers: ${line}`);
    }
    const id = JSON.stringify([match[1], Object.entries(labels).sort()]);
    if (seen.has(id)) throw new Error(`sample twice: ${line}`);
    seen.add(id);
    // The samples of one histogram stand together.
    const { le: _le, ...rest } = labels;
    const own = type === 'histogram' ? JSON.stringify([family, Object.entries(rest).sort()]) : '';
    if (own !== group && own !== '') {
      if (groups.has(own)) throw new Error(`histogram in two places: ${line}`);
      groups.add(own);
    }
    group = own;
    samples.push({ name: match[1], labels, value: numberOf(match[3]), exemplar });
  }
  return { samples, types, help };
}

/** Samples of a name with at least these labels. */
export function named(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): Sample[] {
  return samples.filter((sample) => sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text));
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const pair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest);
    if (pair === null || Object.hasOwn(labels, pair[1])) throw new Error(`not labels: ${rest}`);
    labels[pair[1]] = pair[2].replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
    rest = rest.slice(pair[0].length);
  }
  return labels;
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  if (text !== 'NaN' && !/^-?\d+(\.\d+)?(e[+-]\d+)?$/.test(text)) throw new Error(`not a number: ${text}`);
  return Number(text);
}
