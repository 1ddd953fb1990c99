// Draws the state of the mesh as lines of text: the live view of a terminal, and the plain lines where there is none.
// Pure.

import { statusName } from '#core/contract/grpc-codes.ts';
import type { StatsCall } from '#core/contract/stats.ts';
import type { MethodRow, RouteCondition, RouteRow } from '#local/stats/rows.ts';
import type { Style } from '../../print/style.ts';
import { bar, clockText, latencyText, pad, padLeft, rateText, shareText, truncate } from '../../print/words.ts';

export interface MeshView {
  /** The directory as the user named it. */
  readonly directory: string;
  readonly uptimeSeconds: number;
  /** Seconds until the run ends by itself; null: never. */
  readonly leftSeconds: number | null;
  readonly podsReady: number;
  readonly pods: number;
  readonly methods: readonly MethodRow[];
  readonly routes: readonly RouteRow[];
  readonly problems: readonly string[];
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const MOST_PROBLEMS = 5;
/** Columns of a trace's line beside its name: indent, duration, the word and 32 digits. */
const TRACE_COLUMNS = 51;

/**
 * At most `size.rows` lines of at most `size.columns` columns. Where there is no room, backends share their method's
 * line, then ids of traces are left out.
 */
export function renderView(state: MeshView, size: Size, style: Style): string[] {
  const head = [headline(state, style), ''];
  const foot = [...routeLines(state.routes, style), ...problemLines(state.problems, style)];
  const room = size.rows - head.length - foot.length;
  let body = methodLines(state, size.columns, style, { bars: true, traces: true });
  if (body.length > room) body = methodLines(state, size.columns, style, { bars: false, traces: true });
  if (body.length > room) body = methodLines(state, size.columns, style, { bars: false, traces: false });
  let lines = [...head, ...body, ...foot];
  if (lines.length > size.rows) {
    const shown = Math.max(1, room - 1);
    const cut = body.length - shown;
    lines = [...head, ...body.slice(0, shown), style.dim(`  … ${cut} more lines in a taller window`), ...foot];
  }
  return lines.slice(0, size.rows).map((line) => truncate(line, size.columns));
}

function headline(state: MeshView, style: Style): string {
  const pods = `${state.podsReady}/${state.pods} pods ready`;
  const time = state.leftSeconds === null ? `${clockText(state.uptimeSeconds)} · Ctrl-C stops` : `${clockText(state.leftSeconds)} left`;
  return `${style.bold('weft run')} ${state.directory}  ${state.podsReady === state.pods ? style.good(pods) : style.bad(pods)}  ${style.dim(time)}`;
}

function methodLines(state: MeshView, columns: number, style: Style, shown: { bars: boolean; traces: boolean }): string[] {
  if (state.methods.length === 0) return [style.dim('no calls yet'), ''];
  const methodWidth = Math.min(Math.max(24, ...state.methods.map(({ method }) => method.length + 2)), Math.max(24, columns - 42));
  const nameWidth = Math.max(
    12,
    ...state.methods.flatMap(({ backends, service }) => backends.map(({ backend }) => shortBackend(backend, service).length)),
  );
  const barWidth = Math.max(8, Math.min(40, columns - nameWidth - 16));
  const lines = [style.dim(pad('', methodWidth) + ['RATE', 'OK', 'P50', 'P99'].map((title) => padLeft(title, 9)).join(''))];
  let pair = '';
  for (const row of state.methods) {
    const own = `${row.caller} → ${row.service}`;
    if (own !== pair) lines.push(`${style.accent(own)}${row.mtls ? style.dim('  mTLS') : style.bad('  plaintext')}`);
    pair = own;
    const ok = padLeft(shareText(row.success), 9);
    const numbers =
      padLeft(rateText(row.rate), 9) +
      (row.success === 1 ? style.good(ok) : style.bad(ok)) +
      padLeft(latencyText(row.p50Ms), 9) +
      padLeft(latencyText(row.p99Ms), 9);
    const inline = shown.bars ? '' : `  ${style.dim(splitText(row))}`;
    lines.push(pad(truncate(`  ${row.method}`, methodWidth), methodWidth) + numbers + inline);
    for (const { backend, share, success } of shown.bars ? row.backends : []) {
      const drawn = bar(share, barWidth);
      const painted = success !== null && success < 1 ? style.bad(drawn) : style.accent(drawn);
      lines.push(`    ${pad(shortBackend(backend, row.service), nameWidth)} ${padLeft(shareText(share), 7)} ${painted}`);
    }
    // Below the backends' names, unless these are so long that the id would be cut.
    if (shown.traces) lines.push(...traceLines(row, Math.min(nameWidth, columns - TRACE_COLUMNS), style));
  }
  return [...lines, ''];
}

/** The ids whole, so that they can be copied: `weft trace` takes them. */
function traceLines({ traces: { slow, failed } }: MethodRow, nameWidth: number, style: Style): string[] {
  const line = (name: string, { ms, traceId }: StatsCall, paint: (text: string) => string) =>
    `    ${paint(pad(name, nameWidth))} ${padLeft(latencyText(ms), 7)} ${style.dim(`trace ${traceId}`)}`;
  const slowLine = slow === undefined ? [] : [line('slow', slow, (text) => text)];
  return failed === undefined ? slowLine : [...slowLine, line(statusName(failed.code), failed, style.bad)];
}

/** A backend in the Service's own namespace and on its port goes by its name alone. */
export function shortBackend(backend: string, service: string): string {
  const [namespace, port] = [service.split('/')[0], service.split(':')[1]];
  let name = backend.startsWith(`${namespace}/`) ? backend.slice(namespace.length + 1) : backend;
  if (port && name.endsWith(`:${port}`)) name = name.slice(0, -port.length - 1);
  return name;
}

function splitText(row: MethodRow): string {
  return row.backends.map(({ backend, share }) => `${shortBackend(backend, row.service)} ${shareText(share)}`).join('  ');
}

/** Is the condition as its owner wants it? PartiallyInvalid is the one that is good when it is not there. */
export function isGood(condition: RouteCondition): boolean {
  return condition.type === 'PartiallyInvalid' ? condition.status !== 'True' : condition.status === 'True';
}

function routeLines(routes: readonly RouteRow[], style: Style): string[] {
  return routes.flatMap((route) => {
    const conditions = route.conditions.map((condition) =>
      isGood(condition) ? style.good(condition.type) : style.bad(`${condition.type}=${condition.status} ${condition.reason}`),
    );
    const bad = route.conditions.filter((condition) => !isGood(condition)).map((condition) => `    ${condition.message}`);
    return [`${route.kind} ${route.namespace}/${route.name} on ${route.parent}  ${conditions.join(' ')}`, ...bad];
  });
}

function problemLines(problems: readonly string[], style: Style): string[] {
  const shown = problems.slice(0, MOST_PROBLEMS).map((problem) => style.bad(`! ${problem}`));
  return problems.length > MOST_PROBLEMS ? [...shown, style.bad(`! and ${problems.length - MOST_PROBLEMS} more`)] : shown;
}

/** One line per method, for logs and pipes; an idle mesh has one line that says so. */
export function renderPlain(state: MeshView): string[] {
  const at = clockText(state.uptimeSeconds);
  if (state.methods.length === 0) return [`${at} no calls, ${state.podsReady}/${state.pods} pods ready`];
  return state.methods.map(
    (row) =>
      `${at} ${row.caller} → ${row.service} ${row.method} ${rateText(row.rate)} ok ${shareText(row.success)} ` +
      `p50 ${latencyText(row.p50Ms)} p99 ${latencyText(row.p99Ms)} ${row.mtls ? 'mTLS' : 'plaintext'} | ${splitText(row)}${tracesText(row)}`,
  );
}

function tracesText({ traces: { slow, failed } }: MethodRow): string {
  const slowText = slow ? ` | slow ${latencyText(slow.ms)} trace ${slow.traceId}` : '';
  return failed ? `${slowText} | ${statusName(failed.code)} ${latencyText(failed.ms)} trace ${failed.traceId}` : slowText;
}
