// An OTLP/HTTP collector that keeps the spans it gets, decoded by protobuf's own reader; and one that misbehaves.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

export interface CollectedSpan {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly scope: string;
  readonly traceId: string;
  readonly spanId: string;
  /** '' for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: number;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly { readonly name: string; readonly nanos: bigint; readonly attributes: Readonly<Record<string, unknown>> }[];
  /** 0 unset, 2 error. */
  readonly status: number;
}

type Fields = Map<number, unknown[]>;

/** A message as lists of raw values by field number. */
function fieldsOf(octets: Uint8Array): Fields {
  const reader = new BinaryReader(octets);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const value =
      type === WireType.LengthDelimited
        ? reader.bytes()
        : type === WireType.Varint
          ? Number(reader.uint64())
          : type === WireType.Bit64
            ? BigInt(reader.fixed64())
            : reader.fixed32();
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, field: number): Fields[] => (fields.get(field) ?? []).map((octets) => fieldsOf(octets as Uint8Array));
const text = (fields: Fields, field: number): string => Buffer.from((fields.get(field)?.[0] as Uint8Array) ?? []).toString('utf8');
const hex = (fields: Fields, field: number): string => Buffer.from((fields.get(field)?.[0] as Uint8Array) ?? []).toString('hex');
const number = (fields: Fields, field: number): number => (fields.get(field)?.[0] as number) ?? 0;
const nanos = (fields: Fields, field: number): bigint => (fields.get(field)?.[0] as bigint) ?? 0n;

function attributesOf(fields: Fields, field: number): Record<string, unknown> {
  return Object.fromEntries(
    messages(fields, field).map((pair) => {
      const [value] = messages(pair, 2);
      return [text(pair, 1), value.has(1) ? text(value, 1) : value.has(2) ? number(value, 2) === 1 : number(value, 3)];
    }),
  );
}

/** The spans of an ExportTraceServiceRequest. @throws Error if it is none */
export function decodeSpans(request: Uint8Array): CollectedSpan[] {
  return messages(fieldsOf(request), 1).flatMap((resourceSpans) => {
    const [resource] = messages(resourceSpans, 1);
    return messages(resourceSpans, 2).flatMap((scopeSpans) =>
      messages(scopeSpans, 2).map((span) => ({
        resource: attributesOf(resource, 1),
        scope: messages(scopeSpans, 1).map((scope) => `${text(scope, 1)} ${text(scope, 2)}`)[0],
        traceId: hex(span, 1),
        spanId: hex(span, 2),
        traceState: text(span, 3),
        parentSpanId: hex(span, 4),
        flags: number(span, 16),
        name: text(span, 5),
        kind: number(span, 6),
        startNanos: nanos(span, 7),
        endNanos: nanos(span, 8),
        attributes: attributesOf(span, 9),
        events: messages(span, 11).map((event) => ({ name: text(event, 2), nanos: nanos(event, 1), attributes: attributesOf(event, 3) })),
        status: messages(span, 15).map((status) => number(status, 3))[0] ?? 0,
      })),
    );
  });
}

/**
 * How a collector answers: takes it, says 500, says nothing, answers what is no answer, or says it took all but one, or
 * a hundred less.
 */
export type Behaviour = 'take' | 'fail' | 'hang' | 'garbage' | 'reject-one' | 'reject-hundred';

export class Collector {
  readonly spans: CollectedSpan[] = [];
  readonly requests: http.IncomingHttpHeaders[] = [];
  behaviour: Behaviour = 'take';
  private readonly server: http.Server;

  private constructor() {
    this.server = http.createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => this.answer(request, Buffer.concat(chunks), response));
    });
  }

  /** Listens on a free port of loopback. */
  static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((resolve) => collector.server.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private answer(request: http.IncomingMessage, body: Buffer, response: http.ServerResponse): void {
    this.requests.push({ ...request.headers, ':path': request.url });
    if (this.behaviour === 'hang') return;
    if (this.behaviour === 'fail') return void response.writeHead(500).end('no');
    this.spans.push(...decodeSpans(body));
    // Garbage that looks like a length far beyond the end; partial_success { rejected_spans: 1 }.
    const answers = {
      take: [],
      garbage: [0x0a, 0xff, 0xff, 0x7f, 1, 2, 3],
      'reject-one': [0x0a, 2, 0x08, 1],
      'reject-hundred': [0x0a, 2, 0x08, 100],
    };
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end(Buffer.from(answers[this.behaviour]));
  }
}
