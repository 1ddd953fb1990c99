// Traces of calls through real sidecars: what a collector gets, and what the applications see of it.
import { expect } from 'chai';
import { type CollectedSpan, Collector } from '../support/collector.ts';
import { freePorts } from '../support/free-port.ts';
import { TestMesh } from '../support/mesh.ts';
import { type RawApp, RawCaller, startRawApp, valuesOf } from '../support/raw-app.ts';
import { grpcRoute, to } from '../support/routes.ts';
import { until } from '../support/until.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('tracing', () => {
  let collector: Collector;
  let mesh: TestMesh;
  let app: RawApp;
  let caller: RawCaller;

  before(async () => {
    collector = await Collector.start();
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true },
      ],
      services: { echo: ['v1'], v1: ['v1'] },
      otel: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: '20' },
      routes: [grpcRoute([{ name: 'everything', backendRefs: [to('v1')] }])],
    });
    app = await startRawApp(mesh.appAddress('v1'));
    caller = new RawCaller(mesh.address('caller', 'echo'));
    await mesh.settled();
  });

  after(async () => {
    caller.close();
    await mesh.close();
    app.close();
    collector.close();
  });

  beforeEach(() => {
    collector.spans.length = 0;
  });

  async function spansOf(count: number): Promise<CollectedSpan[]> {
    await until(() => collector.spans.length >= count, `${count} spans have arrived`);
    return collector.spans;
  }

  it('is one trace of a span at the caller and one at the callee, and the application is told', async () => {
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

  it('is joined with the application’s own spans', async () => {
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

  it('says why the proxy refused', async () => {
    mesh.setRoutes([grpcRoute([{ matches: [{ method: { service: 'another.Service' } }], backendRefs: [to('v1')] }])]);
    await mesh.settled();
    await caller.call({});
    const [span] = await spansOf(1);
    expect([span.status, span.attributes['weft.error'], span.attributes['rpc.status_code']]).to.deep.equal([
      2,
      'no_route',
      'UNIMPLEMENTED',
    ]);
    mesh.setRoutes([grpcRoute([{ name: 'everything', backendRefs: [to('v1')] }])]);
    await mesh.settled();
  });

  it('records the share that the control plane asks for from then on, and passes the decision on', async () => {
    mesh.setTelemetry('caller', { traceSampling: 0 });
    await mesh.settled();
    await caller.call({});
    expect(valuesOf(app.request, 'traceparent')[0]).to.match(/-00$/);
    mesh.setTelemetry('caller', { traceSampling: 1, serviceName: 'renamed', attributes: { team: 'payments' } });
    await mesh.settled();
    await caller.call({});
    const client = (await spansOf(2)).find(({ kind }) => kind === 3)!;
    expect([client.resource['service.name'], client.attributes.team]).to.deep.equal(['renamed', 'payments']);
    mesh.setTelemetry('caller', {});
    await mesh.settled();
  });

  it('goes to another collector when the control plane names one', async () => {
    const other = await Collector.start();
    mesh.setTelemetry('caller', { otlpEndpoint: other.endpoint });
    await mesh.settled();
    await caller.call({});
    await until(() => other.spans.length === 1, 'the span has arrived there');
    mesh.setTelemetry('caller', { otlpEndpoint: 'off' });
    await mesh.settled();
    collector.spans.length = 0;
    await caller.call({});
    expect((await spansOf(1)).map(({ kind }) => kind)).to.deep.equal([2]);
    mesh.setTelemetry('caller', {});
    await mesh.settled();
    other.close();
  });
});

describe('tracing without its collector', () => {
  it('harms no call, and counts what is lost', async () => {
    const [port] = await freePorts(1);
    const mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true },
      ],
      services: { echo: ['v1'] },
      otel: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_MAX_QUEUE_SIZE: '10', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2' },
    });
    const app = await startRawApp(mesh.appAddress('v1'));
    const caller = new RawCaller(mesh.address('caller', 'echo'));
    for (let i = 0; i < 100; i++) expect((await caller.call({})).grpcStatus).to.equal('0');
    expect(await mesh.metric('caller', 'weft_spans_dropped_total{reason="queue_full"}')).to.be.at.least(50);
    caller.close();
    await mesh.close();
    app.close();
  });
});
