// Draws a trace as text: a tree with time bars, under each span what Weft knows of the call. Pure.
import { statusName } from '#core/contract/grpc-codes.ts';
import type { Style } from '../print/style.ts';
import { bar, latencyText, pad, padLeft, truncate, widthOf } from '../print/words.ts';
import type { Attributes, Span, SpanEvent } from './jaeger.ts';
import type { Row, Tree } from './tree.ts';

export interface Canvas {
  /** Lines are no longer; what does not fit ends in an ellipsis. */
  readonly columns: number;
  readonly style: Style;
}

/** Spans that are drawn; of a longer trace the first in the tree's order. */
export const MOST_DRAWN = 200;
/** Events that are drawn of one span. */
const MOST_EVENTS = 8;
/** Lines that one detail of a span may take. */
const MOST_WRAPPED = 4;
/** Columns of the tree's lines: what is deeper is not indented further. */
const DEEPEST_GUIDE = 24;
const LEAST_COLUMNS = 60;
const SHORTEST_BAR = 12;
const LONGEST_BAR = 100;
const DURATION_COLUMNS = 9;
const GAP = '  ';

/**
 * Lines without line ends. Names come from any program that sends spans: what could drive a terminal is shown as its
 * code.
 */
export function drawTrace(traceId: string, tree: Tree, canvas: Canvas): string[] {
  const columns = Math.max(LEAST_COLUMNS, canvas.columns);
  const rows = tree.rows.slice(0, MOST_DRAWN).map((row) => ({ ...row, guide: shortGuide(row.guide), under: shortGuide(row.under) }));
  const { style } = canvas;
  const labels = rows.map(({ span, guide }) => `${guide}${labelOf(span)}`);
  const statuses = rows.map(({ span }) => statusOf(span));
  const statusColumns = Math.min(18, Math.max(2, ...statuses.map(({ text }) => widthOf(text))));
  const room = columns - DURATION_COLUMNS - statusColumns - 3 * GAP.length;
  const labelColumns = Math.min(Math.max(0, ...labels.map(widthOf)), room - Math.max(SHORTEST_BAR, Math.floor(room / 4)));
  const barColumns = Math.min(LONGEST_BAR, room - labelColumns);
  const lines = rows.flatMap((row, i): string[] => {
    const { span } = row;
    const { text, bad } = statuses[i];
    const paint = bad ? style.bad : style.accent;
    const name = nameCell(row, labelColumns, style);
    const drawn = timeBar(span, tree, barColumns);
    const first = [name, pad(paint(drawn), barColumns), padLeft(latencyText(span.durationUs / 1000), DURATION_COLUMNS)];
    const status = truncate(text, statusColumns);
    return [[...first, paintStatus(status, bad, style)].join(GAP).trimEnd(), ...detailLines(row, columns, style)];
  });
  const left = tree.rows.length - rows.length;
  const rest = left > 0 ? [style.dim(`… ${left} more spans; -o json has them all`)] : [];
  return [...headLines(traceId, tree, columns, style), ...lines, ...rest];
}

function paintStatus(text: string, bad: boolean, style: Style): string {
  return bad ? style.bad(text) : /^(OK|2\d\d)$/.test(text) ? style.good(text) : text;
}

function headLines(traceId: string, { rows, startUs, durationUs }: Tree, columns: number, style: Style): string[] {
  const counts = `${rows.length} ${rows.length === 1 ? 'span' : 'spans'}`;
  const words = [latencyText(durationUs / 1000), counts, timeText(startUs)];
  return [truncate([style.bold(`trace ${traceId}`), ...words].join(GAP), columns), ''];
}

/** "2026-11-21 17:23:54Z". Dates end in the year 275760; clocks that say more are not believed. */
function timeText(us: number): string {
  const ms = us / 1000;
  return ms <= 8.64e15
    ? new Date(ms)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z/, 'Z')
    : '';
}

const serviceOf = (span: Span): string => visible(span.service) || '(no service)';
const nameOf = (span: Span): string => visible(span.name) || '(no name)';

function labelOf(span: Span): string {
  return `${serviceOf(span)}${GAP}${nameOf(span)}`;
}

function nameCell({ span, guide }: Row, columns: number, style: Style): string {
  const service = truncate(serviceOf(span), Math.max(1, columns - guide.length));
  const room = columns - widthOf(guide) - widthOf(service) - GAP.length;
  const name = room > 0 ? `${GAP}${shortName(nameOf(span), room)}` : '';
  return pad(`${style.dim(guide)}${style.bold(service)}${name}`, columns);
}

/** Of "package.Service/Method" the end says most. */
function shortName(name: string, columns: number): string {
  const characters = [...name];
  if (characters.length <= columns || !/^[^\s/]+\/[^\s/]+$/.test(name)) return truncate(name, columns);
  return `…${characters.slice(characters.length - columns + 1).join('')}`;
}

/** The end of a guide says most: which branch it is. */
function shortGuide(guide: string): string {
  return guide.length <= DEEPEST_GUIDE ? guide : `…${guide.slice(-DEEPEST_GUIDE + 1)}`;
}

/** Where in the trace's time the span is; the shortest one is still seen. */
function timeBar(span: Span, { startUs, durationUs }: Tree, columns: number): string {
  if (durationUs === 0) return bar(1, columns);
  const begin = Math.min(columns - 1, Math.floor(((span.startUs - startUs) / durationUs) * columns));
  const drawn = bar(Math.min(span.durationUs / durationUs, 1 - begin / columns), columns);
  return ' '.repeat(begin) + (drawn || '▏');
}

function detailLines({ span, under, remark }: Row, columns: number, style: Style): string[] {
  const { attributes } = span;
  const of = (name: string) => visible(attributes.get(name) ?? '');
  const texts = [
    callText(of),
    of('weft.peer.identity') && `peer ${of('weft.peer.identity')}`,
    ...[errorText(attributes), remark && visible(remark)].filter(Boolean).map((text) => `! ${text}`),
    ...span.events.slice(0, MOST_EVENTS).map((event) => eventText(event, span)),
    span.events.length > MOST_EVENTS ? `… ${span.events.length - MOST_EVENTS} more events` : '',
  ];
  return texts.filter(Boolean).flatMap((text) => {
    const paint = text.startsWith('!') ? style.bad : style.dim;
    return wrapped(text, columns - widthOf(under)).map((line) => `${style.dim(under)}${paint(line)}`);
  });
}

/**
 * Cut at spaces, further lines indented by two; what is longer than MOST_WRAPPED lines, or a word longer than a line,
 * ends in an ellipsis.
 */
function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (lines.length < MOST_WRAPPED - 1 && widthOf(rest) > columns) {
    const at = rest.lastIndexOf(' ', columns);
    if (rest.slice(0, at).trim() === '') break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = `  ${rest.slice(at).trimStart()}`;
  }
  return [...lines, truncate(rest, columns)];
}

/**
 * "client  GRPCRoute/shop/payment rule charge → shop/payment-v2:8080, pod payment-v2-7d9 at 10.0.0.7:8080"; '' where
 * Weft knows nothing.
 */
function callText(of: (name: string) => string): string {
  const unrouted = of('weft.direction') === 'outbound' ? 'no route' : '';
  const route = [of('weft.route') || unrouted, of('weft.rule') && `rule ${of('weft.rule')}`].filter(Boolean).join(' ');
  const address = [of('network.peer.address'), of('network.peer.port')].filter(Boolean).join(':');
  const pod = [of('weft.pod') && `pod ${of('weft.pod')}`, address && `at ${address}`].filter(Boolean).join(' ');
  const target = [of('weft.backend'), pod].filter(Boolean).join(', ');
  const text = [route, target && `→ ${target}`].filter(Boolean).join(' ');
  return text && [of('span.kind').toLowerCase(), text].filter(Boolean).join(GAP);
}

function errorText(attributes: Attributes): string {
  const label = attributes.get('weft.error') ?? '';
  const words = attributes.get('otel.status_description') ?? attributes.get('error.message') ?? '';
  return visible(words.startsWith(label) ? words : `${label}: ${words}`).replace(/: $/, '');
}

/** "+12.3 ms retry  endpoint=10.0.0.7:8080 reason=connection_lost". */
function eventText({ name, atUs, attributes }: SpanEvent, span: Span): string {
  const fields = [...attributes]
    .filter(([key]) => key !== 'exception.stacktrace')
    .map(([key, value]) => `${visible(key)}=${visible(value)}`);
  const sinceMs = (atUs - span.startUs) / 1000;
  return [`${sinceMs < 0 ? '-' : '+'}${latencyText(Math.abs(sinceMs))} ${visible(name) || 'event'}`, fields.join(' ')]
    .filter(Boolean)
    .join(GAP);
}

// What spans of Weft call it, what the conventions called it before: applications have either.
const GRPC_STATUS = ['rpc.response.status_code', 'rpc.status_code', 'rpc.grpc.status_code'];
const HTTP_STATUS = ['http.response.status_code', 'http.status_code'];

/**
 * How the call ended, as its protocol says it ("UNAVAILABLE", "503"), else as the span does; '': neither does. `bad`:
 * the span is marked as an error.
 */
export function statusOf({ attributes }: Span): { text: string; bad: boolean } {
  const first = (names: readonly string[]) =>
    names.map((name) => attributes.get(name)).find((value) => value !== undefined && value !== '');
  const bad = attributes.get('otel.status_code') === 'ERROR' || attributes.get('error') === 'true';
  const grpc = first(GRPC_STATUS);
  if (grpc !== undefined) return { text: /^\d{1,3}$/.test(grpc) ? statusName(Number(grpc)) : visible(grpc), bad };
  const http = first(HTTP_STATUS);
  if (http !== undefined) return { text: visible(http), bad };
  return { text: bad ? 'ERROR' : attributes.get('otel.status_code') === 'OK' ? 'OK' : '', bad };
}

/** Control and format characters (escape sequences, text that changes its direction) as their codes; bounded. */
export function visible(text: string): string {
  return text.slice(0, 1000).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (one) => `\\u{${one.codePointAt(0)!.toString(16)}}`);
}
