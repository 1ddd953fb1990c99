import { randomBytes } from 'node:crypto';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { expect } from 'chai';
import fc from 'fast-check';
import { newEndpointState } from '#sidecar/balance/endpoint-state.ts';
import type { EndedCall } from '#sidecar/forward/ended-call.ts';
import { NO_ROUTE } from '#sidecar/forward/errors.ts';
import type { CallPlan, Variant } from '#sidecar/forward/plan.ts';
import { RandomWords } from '#sidecar/observe/tracing/ids.ts';
import { lengthField, putUnixNanos, stringField } from '#sidecar/observe/tracing/protobuf.ts';
import { SpanQueue } from '#sidecar/observe/tracing/span-queue.ts';
import { SpanRecorder } from '#sidecar/observe/tracing/span-recorder.ts';
import { Tracer } from '#sidecar/observe/tracing/tracer.ts';
import { type CollectedSpan, decodeSpans } from '../../../support/collector.ts';
import { blockOf, endedCall } from '../../../support/ended-call.ts';
import { backend, portOf, rule } from '../../../support/proxy.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const SCOPE = lengthField(1, Buffer.concat([stringField(1, 'weft'), stringField(2, 'test')]));
const RESOURCE = lengthField(1, Buffer.alloc(0));
const UNIX_MS = 1_795_000_000_000;

const tracer = new Tracer({ parentBased: true, ratio: 1 }, new RandomWords(randomBytes(16)));
const charge = rule([backend('payment-v1')], { route: { kind: 'GRPCRoute', namespace: 'shop', name: 'payment' }, name: 'charge' });
const plan: CallPlan = {
  port: portOf(charge),
  rule: charge,
  variants: [],
  method: 'payment.PaymentService/Charge',
  grpc: true,
  failed: null,
};
const variant = { backend: charge.backends[0] } as Variant;
const endpoint = newEndpointState(
  {
    $typeName: 'weft.v1.Endpoint',
    address: '10.0.0.7',
    port: 8080,
    identity: 'spiffe://cluster.local/ns/shop/sa/payment',
    pod: 'shop/payment-v1-x',
    zone: '',
  },
  0,
  0,
);

interface Recorded {
  readonly spans: CollectedSpan[];
  readonly dropped: string[];
}

function record(calls: readonly EndedCall[], maxQueue = 2048, attributes: Readonly<Record<string, string>> = {}): Recorded {
  const dropped: string[] = [];
  const queue = new SpanQueue(maxQueue, 512, () => {});
  const recorder = new SpanRecorder(queue, (reason) => dropped.push(reason));
  recorder.unixOffsetMs = UNIX_MS;
  recorder.setAttributes(attributes);
  for (const call of calls) recorder.ended(call);
  const spans: CollectedSpan[] = [];
  for (let batch = queue.take(true); batch !== null; batch = queue.take(true)) {
    spans.push(...decodeSpans(batch.request(RESOURCE, SCOPE)));
    queue.giveBack(batch);
  }
  return { spans, dropped };
}

function callOf(given: Partial<EndedCall> = {}, headers: Readonly<Record<string, string>> = {}): EndedCall {
  const { block } = endedCall();
  const list = Object.fromEntries(block.template.fields.map(({ name, value }) => [name, value]));
  const traced = blockOf({ ...list, ...headers });
  return endedCall({ plan, variant, lastEndpoint: endpoint, block: traced, trace: tracer.begin(traced, null), ...given });
}

describe('span recorder', () => {
  it('says of a call at its caller what the documentation promises', () => {
    const call = callOf({ startMs: 10, endMs: 12.5 }, { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'vendor=1' });
    const [span] = record([call]).spans;
    expect(span).to.deep.include({
      scope: 'weft test',
      traceId: TRACE,
      parentSpanId: SPAN,
      traceState: 'vendor=1',
      flags: 0x301,
      kind: 3,
      status: 0,
    });
    expect(span.name).to.equal('payment.PaymentService/Charge');
    expect(span.endNanos - span.startNanos).to.equal(2_500_000n);
    expect(span.startNanos).to.equal(BigInt(UNIX_MS + 10) * 1_000_000n);
    expect(span.attributes).to.deep.equal({
      'rpc.system.name': 'grpc',
      'rpc.method': 'payment.PaymentService/Charge',
      'rpc.status_code': 'OK',
      'server.address': 'payment.shop',
      'server.port': 80,
      'network.peer.address': '10.0.0.7',
      'network.peer.port': 8080,
      'weft.direction': 'outbound',
      'weft.service': 'shop/payment:80',
      'weft.route': 'GRPCRoute/shop/payment',
      'weft.rule': 'charge',
      'weft.backend': 'shop/payment-v1:80',
      'weft.pod': 'shop/payment-v1-x',
      'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/payment',
    });
  });

  it('says of a call at the callee who called', () => {
    const origin = { direction: 'inbound', caller: () => 'spiffe://cluster.local/ns/shop/sa/checkout', mtls: true } as const;
    const [span] = record([callOf({ origin })]).spans;
    expect([span.kind, span.parentSpanId, span.flags]).to.deep.equal([2, '', 0x101]);
    expect(span.attributes).to.include({ 'weft.direction': 'inbound', 'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/checkout' });
    expect(span.attributes).to.not.have.any.keys('weft.backend', 'network.peer.address');
  });

  it('marks errors: all of them at the caller, the server’s own at the callee', () => {
    const inbound = { direction: 'inbound', caller: () => '', mtls: false } as const;
    const { spans } = record([
      callOf({ grpcStatus: 5 }),
      callOf({ grpcStatus: 5, origin: inbound }),
      callOf({ grpcStatus: 14, origin: inbound }),
    ]);
    expect(spans.map(({ status, attributes }) => [status, attributes['rpc.status_code'], attributes['error.type']])).to.deep.equal([
      [2, 'NOT_FOUND', 'NOT_FOUND'],
      [0, 'NOT_FOUND', undefined],
      [2, 'UNAVAILABLE', 'UNAVAILABLE'],
    ]);
    const [own] = record([callOf({ grpcStatus: 12, httpStatus: 0, error: NO_ROUTE, variant: null, lastEndpoint: null })]).spans;
    expect(own.attributes).to.include({ 'weft.error': 'no_route', 'error.type': 'no_route', 'rpc.status_code': 'UNIMPLEMENTED' });
  });

  it('says of an HTTP call what its client got, though the proxy answered, or that it gave up', () => {
    const block = blockOf({ ':method': 'GET', ':scheme': 'http', ':path': '/pay?card=4111', ':authority': 'payment' });
    const trace = tracer.begin(block, null);
    const { spans } = record([
      callOf({ block, trace, httpStatus: 0, grpcStatus: 12, error: NO_ROUTE, variant: null, lastEndpoint: null }),
      callOf({ block, trace, httpStatus: 0, grpcStatus: 1, cancelled: true }),
    ]);
    expect(spans[0].attributes['url.path']).to.equal('/pay');
    const told = spans.map(({ status, attributes }) => [status, attributes['http.response.status_code'], attributes['error.type']]);
    expect(told).to.deep.equal([
      [2, 404, 'no_route'],
      [2, undefined, 'CANCELLED'],
    ]);
  });

  it('shows attempts that failed', () => {
    const call = callOf({ attempts: 2 });
    call.trace!.retried(11, '10.0.0.8:8080', 'REFUSED_STREAM');
    const [span] = record([call]).spans;
    expect(span.attributes['weft.attempts']).to.equal(2);
    expect(span.events).to.deep.equal([
      {
        name: 'retry',
        nanos: BigInt(UNIX_MS + 11) * 1_000_000n,
        attributes: { 'weft.endpoint': '10.0.0.8:8080', 'error.type': 'REFUSED_STREAM' },
      },
    ]);
  });

  it('names HTTP calls by their method: a path may be anything', () => {
    const block = blockOf({ ':method': 'GET', ':scheme': 'http', ':path': `/${'x'.repeat(5000)}`, ':authority': 'payment' });
    const [span] = record([callOf({ block, trace: tracer.begin(block, null), httpStatus: 503, grpcStatus: 14 })]).spans;
    expect(span.name).to.equal('GET');
    expect(span.attributes).to.include({ 'http.request.method': 'GET', 'http.response.status_code': 503, 'error.type': '503' });
    expect((span.attributes['url.path'] as string).length).to.equal(256);
    const invented = blockOf({ ':method': 'X'.repeat(20_000), ':scheme': 'http', ':path': '/', ':authority': 'payment' });
    expect(record([callOf({ block: invented, trace: tracer.begin(invented, null) })]).spans[0].name).to.equal('X'.repeat(256));
  });

  it('adds what was asked for to every span', () => {
    const { attributes } = record([callOf()], 10, { team: 'payments', 'rpc.method': 'another' }).spans[0];
    expect(attributes).to.include({ team: 'payments', 'rpc.method': 'payment.PaymentService/Charge' });
  });

  it('adds no more than leaves room for the rest', () => {
    const many = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`team-${i}`, 'x'.repeat(1000)]));
    const { spans, dropped } = record([callOf()], 10, many);
    expect(dropped).to.deep.equal([]);
    expect(spans[0].attributes).to.include({ 'team-0': 'x'.repeat(256), 'rpc.status_code': 'OK' });
    expect(spans[0].attributes).to.not.have.any.keys('team-31');
    expect(new SpanRecorder(new SpanQueue(1, 1, () => {}), () => {}).setAttributes(many)).to.include('team-31');
  });

  it('keeps no more than may wait, in batches that leave together', () => {
    const { spans, dropped } = record(
      Array.from({ length: 1500 }, () => callOf()),
      1200,
    );
    expect([spans.length, dropped.length, new Set(dropped)]).to.deep.equal([1200, 300, new Set(['queue_full'])]);
    expect(new Set(spans.map(({ spanId }) => spanId)).size).to.equal(1200);
  });

  it('takes no more memory for batches than their spans may need', () => {
    expect(new SpanQueue(2048, 1, () => {}).reserve()!.buffer.length).to.equal(16 * 1024);
    expect(new SpanQueue(2048, 512, () => {}).reserve()!.buffer.length).to.equal(392 * 1024);
  });

  it('writes what the SDK would write', () => {
    const call = callOf({ startMs: 1.25, endMs: 3.5, grpcStatus: 14 }, { traceparent: `00-${TRACE}-${SPAN}-01` });
    const [ours] = record([call]).spans;
    const time = (nanos: bigint): [number, number] => [Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n)];
    const context = { traceId: ours.traceId, traceFlags: 1 };
    const octets = ProtobufTraceSerializer.serializeRequest([
      {
        name: ours.name,
        kind: 2,
        spanContext: () => ({ ...context, spanId: ours.spanId }),
        parentSpanContext: { ...context, spanId: SPAN, isRemote: true },
        startTime: time(ours.startNanos),
        endTime: time(ours.endNanos),
        duration: [0, 0],
        status: { code: 2 },
        attributes: ours.attributes as Record<string, string | number>,
        links: [],
        events: [],
        ended: true,
        resource: { attributes: {}, asyncAttributesPending: false } as never,
        instrumentationScope: { name: 'weft', version: 'test' },
        droppedAttributesCount: 0,
        droppedEventsCount: 0,
        droppedLinksCount: 0,
      },
    ]);
    expect(decodeSpans(octets!)).to.deep.equal([ours]);
  });

  it('writes Unix time to the nanosecond', () => {
    const out = Buffer.alloc(8);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.integer({ min: 0, max: 999 }), (ms, micros) => {
        putUnixNanos(out, 0, ms + micros / 1000);
        const wanted = BigInt(ms) * 1_000_000n + BigInt(micros) * 1000n;
        // A double has a quarter of a microsecond left at that size.
        expect(Number(out.readBigUInt64LE(0) - wanted)).to.be.within(-1000, 1000);
      }),
    );
  });
});
