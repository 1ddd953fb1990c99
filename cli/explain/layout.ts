// Lays a report out for people: what happens first, then why, then where to, then the rules that lost.
import type { Style } from '../print/style.ts';
import type { BackendReport, CandidateReport, EditReport, ExplainReport, Filters, MirrorReport, RestReport, RuleName } from './report.ts';

/** Matches that do not hold are many in a large mesh: so many are shown, the nearest first. */
const MOST_MISSES = 8;
const LABEL_WIDTH = 10;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/**
 * The report as lines without line ends. Control characters of names and values are shown as \\u…: a manifest does not
 * drive a terminal.
 */
export function layOutExplanation(raw: ExplainReport, style: Style): string[] {
  const report = withoutControls(raw);
  const sections: [label: string, lines: string[]][] = [
    ['result', resultLines(report, style)],
    ['filters', filterLines(report.filters)],
    ['backends', [...backendLines(report, style), ...assumptionLines(report.backends, style)]],
    [report.result.kind === 'no match' ? 'nearest' : 'others', otherLines(report.candidates, style)],
    ['routes', routeLines(report, style)],
    ['problems', report.problems.map((problem) => style.bad(problem))],
  ];
  const lines = [...headLines(report, style)];
  for (const [label, content] of sections) {
    if (content.length === 0) continue;
    lines.push('', ...content.map((line, i) => `${style.dim((i === 0 ? label : '').padEnd(LABEL_WIDTH))}${line}`));
  }
  return lines;
}

function withoutControls<T>(value: T): T {
  if (typeof value === 'string') return value.replace(CONTROLS, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) as T;
  if (Array.isArray(value)) return value.map(withoutControls) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutControls(inner)])) as T;
}

function headLines({ from, to, call }: ExplainReport, style: Style): string[] {
  const caller = from.workload === null ? `any workload of ${from.namespace}` : `${from.namespace}/${from.workload}`;
  const port = to.portName === '' ? `${to.port}` : `${to.port} (${to.portName})`;
  const what = call.path === undefined ? call.method : `${call.method} ${call.path}`;
  return [
    `${style.bold(caller)} calls ${style.bold(what)} of ${style.bold(to.service)}, port ${port}`,
    ...call.headers.map(([name, value]) => style.dim(`  ${name}: ${value}`)),
  ];
}

function resultLines({ result }: ExplainReport, style: Style): string[] {
  switch (result.kind) {
    case 'default':
      return [`no route is attached: the call goes to the Service's own endpoints`];
    case 'rule':
      return [
        style.good(ruleText(result.rule)),
        style.dim(`because ${result.why}`),
        ...groupLines(result.group, style),
        ...restLines(result.rest),
      ];
    case 'broken rule':
      return [
        style.bad(`${result.status}: ${result.reason}`),
        ruleText(result.rule),
        style.dim(`because ${result.why}`),
        ...groupLines(result.group, style),
      ];
    case 'no match':
      return [style.bad(`${result.status}: ${result.reason}`), ...groupLines(result.group, style)];
  }
}

function groupLines(group: 'producer' | 'consumer', style: Style): string[] {
  return group === 'consumer' ? [style.dim("by routes of the caller's own namespace, which replace those of the Service's")] : [];
}

function restLines({ requestTimeoutMs, backendTimeoutMs, retry }: RestReport): string[] {
  const lines: string[] = [];
  if (requestTimeoutMs > 0) lines.push(`fails with 504 when it is not over within ${requestTimeoutMs} ms`);
  if (backendTimeoutMs > 0) lines.push(`an attempt fails with 504 when it is not over within ${backendTimeoutMs} ms`);
  if (retry !== null && retry.attempts > 0) {
    const codes = retry.codes.length === 0 ? '' : ` or an answer of ${retry.codes.join(', ')}`;
    const backoff = retry.backoffMs === 0 ? '' : `, ${retry.backoffMs} ms apart at least`;
    lines.push(`is tried again up to ${retry.attempts} times after a failed connection${codes}${backoff}`);
  }
  return lines;
}

function ruleText(rule: RuleName): string {
  return `${rule.kind} ${rule.namespace}/${rule.route}, rule ${rule.index + 1}${rule.name === '' ? '' : ` "${rule.name}"`}`;
}

function filterLines(filters: Filters): string[] {
  return [
    ...filters.request.map((edit) => `request   ${editText(edit)}`),
    ...filters.response.map((edit) => `response  ${editText(edit)}`),
    ...filters.mirrors.map((mirror) => `mirror    ${mirrorText(mirror)}`),
    ...(filters.redirect === null ? [] : [`redirect  ${filters.redirect.status} ${filters.redirect.location}`]),
    ...rewriteLines(filters.rewrite),
    ...(filters.cors === null ? [] : [`cors      ${filters.cors.origins.join(', ') || 'no origin'}`]),
  ];
}

function rewriteLines(rewrite: Filters['rewrite']): string[] {
  if (rewrite === null) return [];
  const { authority, path } = rewrite;
  return [...(authority === undefined ? [] : [`rewrite   host ${authority}`]), ...(path === undefined ? [] : [`rewrite   path ${path}`])];
}

function editText({ op, name, value }: EditReport): string {
  return op === 'remove' ? `remove ${name}` : `${op} ${name}: ${value}`;
}

function mirrorText({ service, port, fraction, invalid }: MirrorReport): string {
  return `${percent(fraction)} to ${service}:${port}${invalid === '' ? '' : ` - nothing is copied: ${invalid}`}`;
}

function backendLines({ backends, call }: ExplainReport, style: Style): string[] {
  const isHttp = call.path !== undefined;
  const rows = backends.map((backend) => [
    `${backend.service}:${backend.port}`,
    percent(backend.share),
    `weight ${backend.weight}`,
    backendState(backend, isHttp, style),
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column].length)));
  return rows.flatMap(([name, share, weight, state], i) => [
    `${name.padEnd(widths[0])}  ${style.accent(share.padStart(widths[1]))}  ${style.dim(weight.padEnd(widths[2]))}  ${state}`,
    ...filterLines(backends[i].filters).map((line) => `  ${line}`),
  ]);
}

function backendState({ invalid, weight, endpoints }: BackendReport, isHttp: boolean, style: Style): string {
  if (invalid !== '') return weight === 0 ? style.dim(invalid) : style.bad(`${isHttp ? '500' : 'UNAVAILABLE'}: ${invalid}`);
  if (endpoints.length === 0)
    return weight === 0 ? style.dim('no ready endpoints') : style.bad(`${isHttp ? '503' : 'UNAVAILABLE'}: no ready endpoints`);
  const meshed = endpoints.filter(({ identity }) => identity !== '').length;
  const count = `${endpoints.length} ready ${endpoints.length === 1 ? 'endpoint' : 'endpoints'}`;
  if (meshed === endpoints.length) return `${count}, ${style.good('mTLS')}`;
  return meshed === 0 ? `${count}, ${style.bad('plaintext')}` : `${count}, ${style.bad(`mTLS to ${meshed} of them`)}`;
}

function assumptionLines(backends: readonly BackendReport[], style: Style): string[] {
  return backends.some(({ assumed, endpoints }) => assumed && endpoints.length > 0)
    ? [style.dim('endpoints as if every pod of the directory ran with a sidecar')]
    : [];
}

function otherLines(candidates: readonly CandidateReport[], style: Style): string[] {
  const losers = candidates.filter(({ outcome }) => outcome !== 'wins');
  const outranked = losers.filter(({ outcome }) => outcome === 'outranked');
  // Fewer conditions that fail: nearer to what the user may have meant.
  const misses = losers.filter(({ outcome }) => outcome === 'no match').sort((a, b) => failures(a) - failures(b));
  const shown = [...outranked.slice(0, MOST_MISSES), ...misses.slice(0, MOST_MISSES)];
  const several = new Set(candidates.map(({ rule }) => `${rule.namespace}/${rule.route}`)).size > 1;
  const matchesOf = new Map<string, number>();
  for (const { rule } of candidates) matchesOf.set(keyOf(rule), (matchesOf.get(keyOf(rule)) ?? 0) + 1);
  const names = shown.map(({ rule, match }) => {
    const route = several ? `${rule.namespace}/${rule.route} ` : '';
    const which = matchesOf.get(keyOf(rule)) === 1 ? '' : `, match ${match + 1}`;
    return `${route}rule ${rule.index + 1}${rule.name === '' ? '' : ` "${rule.name}"`}${which}`;
  });
  const width = Math.max(0, ...names.map((name) => name.length));
  const lines = shown.map(({ reason }, i) => `${names[i].padEnd(width)}  ${style.dim(reason)}`);
  if (losers.length > shown.length) lines.push(style.dim(`and ${losers.length - shown.length} more; -o json shows all`));
  return lines;
}

function keyOf({ namespace, route, index }: RuleName): string {
  return `${namespace}/${route}/${index}`;
}

function failures({ parts }: CandidateReport): number {
  return parts.filter(({ holds }) => !holds).length;
}

function routeLines({ routes }: ExplainReport, style: Style): string[] {
  return routes.flatMap(({ route, conditions }) =>
    conditions
      .filter(({ bad }) => bad)
      .map(
        ({ type, status, reason, message }) =>
          `${route}  ${style.bad(`${type}=${status} ${reason}`)}${message === '' ? '' : `: ${message}`}`,
      ),
  );
}

/** 0.9 → "90 %", 1/3 → "33.3 %", 1e-5 → "0.001 %"; 100 % is said of all only. */
function percent(share: number): string {
  if (share < 1 && share >= 0.9995) return '> 99.9 %';
  return `${Number((share * 100).toPrecision(3))} %`;
}
