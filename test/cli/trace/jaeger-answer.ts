// Answers of Jaeger's query API, as Jaeger 1.62 writes them.
type Value = string | number | boolean;

export interface AnsweredSpan {
  readonly id: string;
  readonly parent?: string;
  readonly service?: string;
  readonly name?: string;
  /** µs after the trace's start. */
  readonly at?: number;
  readonly us?: number;
  readonly tags?: Readonly<Record<string, Value>>;
  readonly logs?: readonly { readonly at: number; readonly fields: Readonly<Record<string, Value>> }[];
}

export const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
/** 2026-11-21 17:23:54.123 UTC. */
const BEGIN_US = 1_795_281_834_123_000;

const typeOf = (value: Value): string => (typeof value === 'string' ? 'string' : typeof value === 'boolean' ? 'bool' : 'int64');
const tagsOf = (tags: Readonly<Record<string, Value>>) => Object.entries(tags).map(([key, value]) => ({ key, type: typeOf(value), value }));

/** The JSON of GET /api/traces/<id>. */
export function jaegerAnswer(spans: readonly AnsweredSpan[]) {
  const services = [...new Set(spans.map(({ service = 'shop' }) => service))];
  return {
    data: [
      {
        traceID: TRACE_ID,
        spans: spans.map(({ id, parent, service = 'shop', name = 'call', at = 0, us = 1000, tags = {}, logs = [] }) => ({
          traceID: TRACE_ID,
          spanID: id,
          operationName: name,
          references: parent === undefined ? [] : [{ refType: 'CHILD_OF', traceID: TRACE_ID, spanID: parent }],
          startTime: BEGIN_US + at,
          duration: us,
          tags: tagsOf(tags),
          logs: logs.map((log) => ({ timestamp: BEGIN_US + log.at, fields: tagsOf(log.fields) })),
          processID: `p${services.indexOf(service) + 1}`,
          warnings: null,
        })),
        processes: Object.fromEntries(services.map((serviceName, i) => [`p${i + 1}`, { serviceName, tags: [] }])),
        warnings: null,
      },
    ],
    total: 0,
    limit: 0,
    offset: 0,
    errors: null,
  };
}

const CHARGE = { 'rpc.system.name': 'grpc', 'rpc.method': 'payment.PaymentService/Charge', 'weft.service': 'shop/payment:8080' };

/** checkout's application calls payment: one attempt is lost, the second fails in the application. */
export const CHECKOUT: readonly AnsweredSpan[] = [
  {
    id: '00f067aa0ba902b7',
    service: 'checkout',
    name: 'POST /checkout',
    us: 48_200,
    tags: { 'span.kind': 'server', 'http.response.status_code': 503 },
  },
  {
    id: 'aa00000000000001',
    parent: '00f067aa0ba902b7',
    service: 'checkout',
    name: 'payment.PaymentService/Charge',
    at: 2_100,
    us: 41_200,
    tags: {
      ...CHARGE,
      'span.kind': 'client',
      'rpc.status_code': 'UNAVAILABLE',
      'otel.status_code': 'ERROR',
      'otel.status_description': 'card network is away',
      error: true,
      'weft.direction': 'outbound',
      'weft.route': 'GRPCRoute/shop/payment',
      'weft.rule': 'charge',
      'weft.backend': 'shop/payment-v2:8080',
      'weft.pod': 'shop/payment-v2-r2cp8-4v72b',
      'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/payment',
      'weft.attempts': 2,
      'network.peer.address': '10.244.0.17',
      'network.peer.port': 8080,
    },
    logs: [{ at: 14_400, fields: { event: 'retry', 'weft.endpoint': '10.244.0.12:8080', 'error.type': 'connection_lost' } }],
  },
  {
    id: 'bb00000000000001',
    parent: 'aa00000000000001',
    service: 'payment',
    name: 'payment.PaymentService/Charge',
    at: 15_900,
    us: 26_800,
    tags: {
      ...CHARGE,
      'span.kind': 'server',
      'rpc.grpc.status_code': 14,
      'otel.status_code': 'ERROR',
      error: true,
      'weft.direction': 'inbound',
      'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/checkout',
    },
  },
  {
    id: 'cc00000000000001',
    parent: 'bb00000000000001',
    service: 'payment',
    name: 'SELECT cards',
    at: 17_000,
    us: 900,
    tags: { 'span.kind': 'client' },
  },
  {
    id: 'cc00000000000002',
    parent: 'bb00000000000001',
    service: 'payment',
    name: 'SELECT limits',
    at: 18_400,
    us: 120,
    tags: { 'otel.status_code': 'OK' },
  },
];
