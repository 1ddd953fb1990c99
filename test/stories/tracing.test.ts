// Traces of calls through real sidecars: what a collector gets, and what the applications see of it.
import { expect } from 'chai';
import { type CollectedSpan, Collector } from '../support/collector.ts';
import { freePorts } from '../support/free-port.ts';
import { type RawApp, type RawCaller, valuesOf } from '../support/raw-app.ts';
import { type RawMesh, startRawMesh } from '../support/raw-mesh.ts';
import { grpcRoute, to } from '../support/routes.ts';
import { until } from '../support/until.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('tracing', () => {
  let collector: Collector;
  let raw: RawMesh;
  let app: RawApp;
  let caller: RawCaller;

  before(async () => {
    collector = await Collector.start();
    raw = await startRawMesh({
      otel: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: '20' },
      routes: [grpcRoute([{ name: 'everything', backendRefs: [to('v1')] }])],
    });
    ({ app, caller } = raw);
  });

  after(async () => {
    await raw.close();
    collector.close();
  });

  beforeEach(() => {
    collector.spans.length = 0;
  });

  async function spansOf(count: number): Promise<CollectedSpan[]> {
    await until(() => collector.spans.length >= count, `${count} spans have arrived`);
    return collector.spans;
  }

  it('makes one trace of a span at the caller and one at the callee, which the application learns of', async () => {
    await caller.call({});
    const spans = await spansOf(2);
    const client = spans.find(({ kind }) => kind === 3)!;
    const server = spans.find(({ kind }) => kind === 2)!;
    expect([client.parentSpanId, server.parentSpanId, server.traceId]).to.deep.equal(['', client.spanId, client.traceId]);
    expect([client.resource['service.name'], server.resource['service.name']]).to.deep.equal(['caller', 'v1']);
    expect(client.resource).to.include({ 'service.namespace': 'shop', 'k8s.pod.name': 'caller' });
    expect(client.attributes).to.include({
      'rpc.method': 'test.Echo/Unary',
      'rpc.status_code': 'OK',
      'weft.route': 'GRPCRoute/shop/echo',
      'weft.rule': 'everything',
      'weft.backend': 'shop/v1:8080',
      'weft.pod': 'shop/v1',
      'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/v1',
    });
    expect(server.attributes).to.include({ 'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/caller' });
    expect(server.startNanos >= client.startNanos && server.endNanos <= client.endNanos).to.equal(true);
    expect(valuesOf(app.request, 'traceparent')).to.deep.equal([`00-${server.traceId}-${server.spanId}-01`]);
  });

  it('joins the application’s own trace', async () => {
    await caller.call({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'vendor=1', baggage: `a=${'b'.repeat(8000)}` });
    const client = (await spansOf(2)).find(({ kind }) => kind === 3)!;
    expect([client.traceId, client.parentSpanId, client.traceState]).to.deep.equal([TRACE, SPAN, 'vendor=1']);
    expect(valuesOf(app.request, 'tracestate')).to.deep.equal(['vendor=1']);
    expect(valuesOf(app.request, 'baggage')[0]).to.have.length(8002);
  });

  it('follows B3 and passes W3C on beside it', async () => {
    await caller.call({ b3: `${TRACE}-${SPAN}-1` });
    const client = (await spansOf(2)).find(({ kind }) => kind === 3)!;
    expect([client.traceId, client.parentSpanId]).to.deep.equal([TRACE, SPAN]);
    expect(valuesOf(app.request, 'b3')).to.deep.equal([`${TRACE}-${SPAN}-1`]);
    expect(valuesOf(app.request, 'traceparent')[0]).to.contain(TRACE);
  });

  it('leaves alone what the caller does not want recorded', async () => {
    await caller.call({ traceparent: `00-${TRACE}-${SPAN}-00` });
    expect(valuesOf(app.request, 'traceparent')).to.deep.equal([`00-${TRACE}-${SPAN}-00`]);
    await caller.call({});
    expect((await spansOf(2)).some(({ traceId }) => traceId === TRACE)).to.equal(false);
  });

  it('begins anew where traceparent is malformed or stands twice', async () => {
    for (const traceparent of ['nonsense', [`00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01`]]) {
      collector.spans.length = 0;
      expect((await caller.call({ traceparent, tracestate: 'vendor=1' })).grpcStatus).to.equal('0');
      const spans = await spansOf(2);
      expect(new Set(spans.map(({ traceId }) => traceId)).size).to.equal(1);
      expect(spans[0].traceId).to.not.equal(TRACE);
      expect(valuesOf(app.request, 'traceparent')).to.have.length(1);
      expect(valuesOf(app.request, 'tracestate')).to.deep.equal([]);
    }
  });

  it('refuses baggage that is larger than all headers may be, and only that call', async () => {
    expect((await caller.call({ traceparent: `00-${TRACE}-${SPAN}-01`, baggage: `a=${'b'.repeat(65_536)}` })).grpcStatus).to.equal('8');
    const [span] = await spansOf(1);
    expect([span.traceId, span.attributes['weft.error']]).to.deep.equal([TRACE, 'headers_too_large']);
    expect((await caller.call({})).grpcStatus).to.equal('0');
    await spansOf(3);
  });

  it('says why the proxy refused a call', async () => {
    await raw.use(grpcRoute([{ matches: [{ method: { service: 'another.Service' } }], backendRefs: [to('v1')] }]));
    await caller.call({});
    const [span] = await spansOf(1);
    expect([span.status, span.attributes['weft.error'], span.attributes['rpc.status_code']]).to.deep.equal([
      2,
      'no_route',
      'UNIMPLEMENTED',
    ]);
    await raw.use(grpcRoute([{ name: 'everything', backendRefs: [to('v1')] }]));
  });

  it('records the share that the control plane asks for from then on, and passes the decision on', async () => {
    await raw.useTelemetry('caller', { traceSampling: 0 });
    await caller.call({});
    expect(valuesOf(app.request, 'traceparent')[0]).to.match(/-00$/);
    await raw.useTelemetry('caller', { traceSampling: 1, serviceName: 'renamed', attributes: { team: 'payments' } });
    await caller.call({});
    const client = (await spansOf(2)).find(({ kind }) => kind === 3)!;
    expect([client.resource['service.name'], client.attributes.team]).to.deep.equal(['renamed', 'payments']);
    await raw.useTelemetry('caller', {});
  });

  it('goes to another collector when the control plane names one', async () => {
    const other = await Collector.start();
    await raw.useTelemetry('caller', { otlpEndpoint: other.endpoint });
    await caller.call({});
    await until(() => other.spans.length === 1, 'the span has arrived there');
    await raw.useTelemetry('caller', { otlpEndpoint: 'off' });
    collector.spans.length = 0;
    await caller.call({});
    expect((await spansOf(1)).map(({ kind }) => kind)).to.deep.equal([2]);
    await raw.useTelemetry('caller', {});
    other.close();
  });
});

describe('tracing without its collector', () => {
  it('harms no call, and counts what is lost', async () => {
    const [port] = await freePorts(1);
    const { mesh, caller, close } = await startRawMesh({
      otel: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_MAX_QUEUE_SIZE: '10', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2' },
    });
    for (let i = 0; i < 100; i++) expect((await caller.call({})).grpcStatus).to.equal('0');
    expect(await mesh.metric('caller', 'weft_spans_dropped_total{reason="queue_full"}')).to.be.at.least(50);
    await close();
  });
});
