// Asks Jaeger's query API for a trace and reads its answer.

import { Failure } from '#core/program/failure.ts';
import { printable } from '#core/text/printable.ts';

/** What a span says of itself. */
export type Attributes = ReadonlyMap<string, string>;

export interface SpanEvent {
  readonly name: string;
  /** Unix time, µs. */
  readonly atUs: number;
  readonly attributes: Attributes;
}

export interface Span {
  readonly spanId: string;
  /** '': it begins the trace. */
  readonly parentId: string;
  /** service.name of the program that made it. */
  readonly service: string;
  readonly name: string;
  /** Unix time, µs. */
  readonly startUs: number;
  readonly durationUs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
}

/** Some ten thousand spans with all their attributes. */
const LONGEST_BODY = 64 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * The spans of a trace, in no order.
 * @param baseUrl where the query API is, without a slash at its end
 * @throws Failure when Jaeger cannot be reached, does not know the trace, or answers something else
 */
export async function fetchTrace(baseUrl: string, traceId: string, timeoutMs: number = ANSWER_TIMEOUT_MS): Promise<Span[]> {
  const { status, body } = await ask(baseUrl, `/api/traces/${traceId}`, timeoutMs);
  const answer = jsonOf(body);
  if (answer === null) {
    throw new Failure(
      `${baseUrl} answers ${status}, but not as Jaeger's query API does: is that its port (16686), and not the one for spans?`,
    );
  }
  const complaint = textOf(fieldsOf(listOf(answer.errors)[0]).msg).slice(0, 300);
  const spans = status === 200 ? spansOf(answer) : [];
  if (status === 404 || (status === 200 && spans.length === 0)) throw new Failure(notThere(baseUrl, traceId));
  if (status !== 200)
    throw new Failure(`Jaeger at ${baseUrl} answers ${status}${complaint && `: ${printable(JSON.stringify(complaint))}`}`);
  return spans;
}

function notThere(baseUrl: string, traceId: string): string {
  return [
    `Jaeger at ${baseUrl} has no trace ${traceId}`,
    '  - spans arrive a second or two after the call: ask again',
    '  - the call may not have been recorded: the last two digits of its traceparent are 01 if it was; annotation weft.dev/trace-sampling',
    '  - sidecars may not reach the collector: weft_spans_dropped_total on their metrics page counts what was lost',
    '  - a Jaeger that keeps traces in memory forgets the oldest, and all of them when it restarts',
  ].join('\n');
}

async function ask(baseUrl: string, path: string, timeoutMs: number): Promise<{ status: number; body: string }> {
  try {
    const response = await fetch(`${baseUrl}${path}`, { signal: AbortSignal.timeout(timeoutMs), headers: { accept: 'application/json' } });
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      if ((length += chunk.length) > LONGEST_BODY) throw new Error(`its answer is longer than ${LONGEST_BODY} octets`);
    }
    return { status: response.status, body: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    throw new Failure(`no answer from Jaeger at ${baseUrl}: ${reasonOf(error as Error, timeoutMs)}; --jaeger names its query API`);
  }
}

function reasonOf(error: Error, timeoutMs: number): string {
  if (error.name === 'TimeoutError') return `none within ${timeoutMs / 1000} s`;
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return printable(cause?.code ?? cause?.message ?? error.message);
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields => (value !== null && typeof value === 'object' ? (value as Fields) : {});
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const textOf = (value: unknown): string => (['string', 'number', 'boolean'].includes(typeof value) ? `${value}` : '');
const microsOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0);

function jsonOf(body: string): Fields | null {
  try {
    const value = JSON.parse(body);
    return value !== null && typeof value === 'object' && ('data' in value || 'errors' in value) ? value : null;
  } catch {
    return null;
  }
}

/** Reads the answer of GET /api/traces/<id>. What is not a span is passed over; a missing field counts as empty. */
export function spansOf(answer: Fields): Span[] {
  return listOf(answer.data).flatMap((item) => {
    const trace = fieldsOf(item);
    const processes = fieldsOf(trace.processes);
    return listOf(trace.spans).flatMap((one): Span[] => {
      const span = fieldsOf(one);
      const spanId = textOf(span.spanID);
      if (spanId === '') return [];
      return [
        {
          spanId,
          parentId: parentOf(span),
          service: textOf(fieldsOf(processes[textOf(span.processID)]).serviceName),
          name: textOf(span.operationName),
          startUs: microsOf(span.startTime),
          durationUs: microsOf(span.duration),
          attributes: attributesOf(span.tags),
          events: listOf(span.logs).map(eventOf),
        },
      ];
    });
  });
}

/** Of several references the first to a parent counts. */
function parentOf(span: Fields): string {
  const references = listOf(span.references).map(fieldsOf);
  const reference = references.find(({ refType }) => refType === 'CHILD_OF') ?? references[0];
  return textOf(reference?.spanID ?? span.parentSpanID);
}

function attributesOf(tags: unknown): Attributes {
  return new Map(listOf(tags).map((tag) => [textOf(fieldsOf(tag).key), textOf(fieldsOf(tag).value)]));
}

function eventOf(log: unknown): SpanEvent {
  const { timestamp, fields } = fieldsOf(log);
  const attributes = new Map(attributesOf(fields));
  // Jaeger turns an event's name into a field of it.
  const name = attributes.get('event') ?? attributes.get('message') ?? '';
  attributes.delete('event');
  return { name, atUs: microsOf(timestamp), attributes };
}
