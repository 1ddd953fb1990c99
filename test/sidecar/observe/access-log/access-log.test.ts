// The access log's lines: what each kind of call looks like, and that no peer can break or bloat one.
import { expect } from 'chai';
import fc from 'fast-check';
import { parseAccessLog } from '#core/contract/access-filter.ts';
import type { EndpointState } from '#sidecar/balance/endpoint-state.ts';
import type { EndedCall } from '#sidecar/forward/ended-call.ts';
import * as errors from '#sidecar/forward/errors.ts';
import type { CallOrigin } from '#sidecar/forward/outcome.ts';
import type { CallPlan, Variant } from '#sidecar/forward/plan.ts';
import type { CallTrace } from '#sidecar/forward/trace.ts';
import { AccessLog, deniedFlag, type EndedConnection } from '#sidecar/observe/access-log/access-log.ts';
import { blockOf, endedCall } from '../../../support/ended-call.ts';
import { backend, portOf, ref, rule } from '../../../support/proxy.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const CHARGE = {
  ':method': 'POST',
  ':scheme': 'http',
  ':path': '/payment.PaymentService/Charge',
  ':authority': 'payment:50051',
  'content-type': 'application/grpc',
  'user-agent': 'grpc-go/1.60',
  authorization: 'Bearer secret',
  cookie: 'secret=1',
};
const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/payment';
const ENDPOINT = { key: '10.0.0.7:50051', pod: 'shop/payment-v2-0', identity: IDENTITY } as EndpointState;
const INBOUND: CallOrigin = { direction: 'inbound', caller: () => 'spiffe://cluster.local/ns/shop/sa/checkout', mtls: true };

/** A log of which the lines are kept. */
function logOf(text: string, nowMs = 1_700_000_000_042) {
  const lines: string[] = [];
  const log = new AccessLog(
    (line) => lines.push(line),
    () => nowMs,
  );
  log.set(parseAccessLog(text));
  return { log, lines };
}

/** A call that met the rule `canary` of GRPCRoute shop/payment and fell to payment-v2. */
function routed(more: Partial<EndedCall> & { readonly latencyMs?: number } = {}): EndedCall {
  const canary = rule([backend('payment-v2')], { name: 'canary', route: { kind: 'GRPCRoute', namespace: 'shop', name: 'payment' } });
  const variant = { backend: canary.backends[0] } as Variant;
  const plan = { port: portOf(canary), rule: canary, variants: [variant] } as unknown as CallPlan;
  return endedCall({ block: blockOf(CHARGE), plan, variant, lastEndpoint: ENDPOINT, ...more });
}

function trace(recorded: boolean, traceId: string): CallTrace {
  return { recorded, traceId, outgoing: (varying) => varying, retried: () => {} };
}

/** The line that a call makes. */
function lineOf(call: EndedCall): Record<string, unknown> {
  const { log, lines } = logOf('all');
  log.ended(call);
  expect(lines).to.have.length(1);
  return JSON.parse(lines[0]);
}

function connection(more: Partial<EndedConnection> = {}): EndedConnection {
  return {
    origin: { direction: 'outbound', caller: () => 'shop/checkout', mtls: null },
    service: ref('database'),
    endpoint: { address: '10.0.0.9', port: 5432, identity: '' },
    startMs: 1000,
    endMs: 3500,
    sent: 120,
    received: 4096,
    error: '',
    reason: '',
    ...more,
  };
}

describe('access log', () => {
  it('a call that went well', () => {
    const { log, lines } = logOf('all');
    log.ended(routed({ latencyMs: 1.23456, requestBytes: 17, responseBytes: 9, trace: trace(true, TRACE_ID) }));
    expect(lines).to.deep.equal([
      '{"time":"2023-11-14T22:13:20.042Z","level":"info","msg":"access","component":"sidecar","direction":"outbound","caller":"shop/checkout",' +
        '"service":"shop/payment:80","route":"GRPCRoute/shop/payment","rule":"canary","method":"payment.PaymentService/Charge",' +
        '"backend":"shop/payment-v2:80","protocol":"grpc","authority":"payment:50051","user_agent":"grpc-go/1.60",' +
        `"pod":"shop/payment-v2-0","endpoint":"10.0.0.7:50051","peer_identity":"${IDENTITY}","mtls":true,` +
        '"http_status":200,"grpc_status":0,"code":"OK","duration_ms":1.235,"request_bytes":17,"response_bytes":9,"attempts":1,"flags":[],' +
        `"trace_id":"${TRACE_ID}","sampled":true}`,
    ]);
  });

  it('no route', () => {
    const call = routed({ variant: null, lastEndpoint: null, attempts: 0, httpStatus: 0, grpcStatus: 12, error: errors.NO_ROUTE });
    const line = lineOf({ ...call, plan: { ...call.plan!, rule: null } });
    expect(line).to.include({ service: 'shop/payment:80', code: 'Unimplemented', grpc_status: 12, attempts: 0 });
    expect(line.flags).to.deep.equal(['no_route']);
    expect(line).to.not.have.any.keys('route', 'rule', 'backend', 'endpoint', 'pod', 'mtls', 'http_status', 'trace_id', 'sampled');
  });

  it('no configuration', () => {
    const line = lineOf(endedCall({ attempts: 0, httpStatus: 0, grpcStatus: 14, error: errors.NO_CONFIG }));
    expect(line).to.include({ method: 'payment.PaymentService/Charge', code: 'Unavailable' });
    expect(line.flags).to.deep.equal(['no_config']);
  });

  it('retried and cancelled', () => {
    const line = lineOf(routed({ attempts: 3, cancelled: true, grpcStatus: 1, httpStatus: 0 }));
    expect(line).to.include({ code: 'Canceled', attempts: 3, endpoint: '10.0.0.7:50051' });
    expect(line.flags).to.deep.equal(['retried', 'client_cancelled']);
  });

  it('inbound: the caller is the identity of its certificate', () => {
    const endpoint = { key: '127.0.0.1:50051', pod: '', identity: '' } as EndpointState;
    const line = lineOf(routed({ origin: INBOUND, lastEndpoint: endpoint }));
    expect(line).to.include({ direction: 'inbound', caller: INBOUND.caller(), mtls: true, endpoint: '127.0.0.1:50051' });
    expect(line).to.not.have.any.keys('backend', 'peer_identity', 'pod');
  });

  it('HTTP: method and path without the query, and the status that the client got', () => {
    const block = blockOf({ ':method': 'GET', ':scheme': 'http', ':path': '/cart/7?token=secret', ':authority': 'cart' });
    const line = lineOf(routed({ block, httpStatus: 0, grpcStatus: 14, error: errors.NO_ENDPOINTS }));
    expect(line).to.include({ protocol: 'http', http_method: 'GET', method: 'cart/7', http_status: 503, code: 'Unavailable' });
    expect(JSON.stringify(line)).to.not.include('secret');
  });

  it('no header that may hold a secret', () => {
    expect(JSON.stringify(lineOf(routed()))).to.not.include('secret');
  });

  it('the trace of the request, where it is not recorded here', () => {
    const ofHeader = (traceparent: string, extra = {}): unknown =>
      lineOf(routed({ block: blockOf({ ...CHARGE, traceparent, ...extra }), trace: trace(false, '') })).trace_id;
    expect(ofHeader(`00-${TRACE_ID}-00f067aa0ba902b7-01`)).to.equal(TRACE_ID);
    expect(ofHeader(`00-${TRACE_ID.toUpperCase()}-00f067aa0ba902b7-01`)).to.equal(undefined);
    expect(ofHeader(`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`)).to.equal(undefined);
    expect(ofHeader('"},"level":"error')).to.equal(undefined);
    const sampled = (flags: string): unknown =>
      lineOf(routed({ block: blockOf({ ...CHARGE, traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-${flags}` }) })).sampled;
    expect([sampled('01'), sampled('00')]).to.deep.equal([true, false]);
  });

  it('remembers what calls share, and nothing that differs', () => {
    const { log, lines } = logOf('all');
    let caller = 'shop/checkout-1';
    const origin: CallOrigin = { direction: 'outbound', caller: () => caller, mtls: null };
    const first = routed({ origin });
    log.ended(first);
    caller = 'shop/checkout';
    log.ended({
      ...first,
      block: blockOf({ ...CHARGE, ':path': '/payment.PaymentService/Refund' }),
      lastEndpoint: { ...ENDPOINT, key: 'other:1' },
    });
    log.ended({ ...first, grpcStatus: 5, trace: trace(true, TRACE_ID) });
    log.ended(first);
    const read = lines.map((line) => JSON.parse(line));
    expect(read.map((line) => line.caller)).to.deep.equal(['shop/checkout-1', 'shop/checkout', 'shop/checkout', 'shop/checkout']);
    expect(read.map((line) => line.method.split('/')[1])).to.deep.equal(['Charge', 'Refund', 'Charge', 'Charge']);
    expect(read.map((line) => line.endpoint)).to.deep.equal([ENDPOINT.key, 'other:1', ENDPOINT.key, ENDPOINT.key]);
    expect(read.map((line) => line.code)).to.deep.equal(['OK', 'OK', 'NotFound', 'OK']);
    expect(read.map((line) => line.trace_id)).to.deep.equal([undefined, undefined, TRACE_ID, undefined]);
  });

  it('writes what the rule asks for, and is switched while it runs', () => {
    const { log, lines } = logOf('errors');
    log.ended(routed());
    log.ended(routed({ grpcStatus: 5 }));
    expect(lines).to.have.length(1);
    log.set(null);
    expect(log.on).to.equal(false);
    log.ended(routed({ grpcStatus: 5 }));
    log.connectionEnded(connection());
    expect(lines).to.have.length(1);
    log.set(parseAccessLog('duration>=100ms,service=shop/payment,backend=shop/payment-v2,pod=shop/payment-v2-*,sampled=true'));
    log.ended(routed({ latencyMs: 99, trace: trace(true, TRACE_ID) }));
    log.ended(routed({ latencyMs: 100 }));
    log.ended(routed({ latencyMs: 100, trace: trace(true, TRACE_ID) }));
    expect(lines).to.have.length(2);
  });

  it('errors are statuses that are not OK, for HTTP 500 and above, and what the proxy or the client ended', () => {
    const http = blockOf({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'cart' });
    const logged = (call: EndedCall): boolean => {
      const { log, lines } = logOf('errors');
      log.ended(call);
      return lines.length === 1;
    };
    expect(logged(routed({ grpcStatus: 0 }))).to.equal(false);
    expect(logged(routed({ grpcStatus: 5 }))).to.equal(true);
    expect(logged(routed({ block: http, httpStatus: 404, grpcStatus: 12 }))).to.equal(false);
    expect(logged(routed({ block: http, httpStatus: 500, grpcStatus: 2 }))).to.equal(true);
    expect(logged(routed({ block: http, httpStatus: 200, error: errors.CONNECTION_LOST }))).to.equal(true);
    expect(logged(routed({ block: http, httpStatus: 0, cancelled: true }))).to.equal(true);
  });

  it('each field of a line can be asked for', () => {
    const call = routed({ trace: trace(true, TRACE_ID), attempts: 2 });
    const { time, level, msg, component, flags, duration_ms, ...line } = lineOf(call);
    expect(Object.keys(line)).to.have.length.greaterThan(18);
    for (const [field, value] of Object.entries(line)) {
      const { log, lines } = logOf(`${field}=${value}`);
      log.ended(call);
      log.ended(
        endedCall({
          block: blockOf({ ':path': '/other', ':method': 'GET' }),
          origin: INBOUND,
          grpcStatus: 2,
          httpStatus: 500,
          attempts: 1,
        }),
      );
      expect(
        lines.map((text) => JSON.parse(text)[field]),
        field,
      ).to.include(value);
    }
  });

  it('a TCP connection', () => {
    const { log, lines } = logOf('all');
    log.connectionEnded(connection());
    log.connectionEnded(connection({ service: ref('database'), error: 'connect_failed', reason: '10.0.0.9:5432: ECONNREFUSED' }));
    expect(lines[0]).to.equal(
      '{"time":"2023-11-14T22:13:20.042Z","level":"info","msg":"access","component":"sidecar","direction":"outbound","caller":"shop/checkout",' +
        '"service":"shop/database:80","protocol":"tcp","endpoint":"10.0.0.9:5432","mtls":false,"duration_ms":2500,"request_bytes":120,"response_bytes":4096,"flags":[]}',
    );
    expect(JSON.parse(lines[1])).to.deep.include({ flags: ['connect_failed'], reason: '10.0.0.9:5432: ECONNREFUSED' });
  });

  it('a connection that was refused is an error, a served one is none, and neither has a status', () => {
    const { log, lines } = logOf('errors');
    const origin: CallOrigin = { direction: 'inbound', caller: () => '', mtls: false };
    log.connectionEnded(connection({ origin }));
    log.connectionEnded(connection({ origin, endpoint: null, error: deniedFlag('plaintext'), reason: 'plaintext' }));
    log.connectionEnded(connection({ origin, endpoint: null, error: deniedFlag('wrong trust domain'), reason: 'wrong trust domain' }));
    expect(lines.map((line) => JSON.parse(line).flags)).to.deep.equal([['denied_plaintext'], ['denied_tls']]);
    log.set(parseAccessLog('code!=OK'));
    log.connectionEnded(connection({ origin, error: 'denied_tls' }));
    log.set(parseAccessLog('flag=denied_*,mtls=false,direction=inbound'));
    log.connectionEnded(connection({ origin, error: 'denied_tls' }));
    expect(lines).to.have.length(3);
  });

  it('whatever octets arrive: one line of JSON, bounded, that drives no terminal', () => {
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text).toString('latin1')),
      fc.constantFrom('"', '\\', '\n', '\u001b[2J', '\u009b', 'é'.repeat(3000), '\u0000'.repeat(20_000)),
    );
    fc.assert(
      fc.property(octets, octets, octets, octets, (path, agent, authority, traceparent) => {
        const { log, lines } = logOf('all');
        const block = blockOf({ ...CHARGE, ':path': `/${path}`, 'user-agent': agent, ':authority': authority, traceparent });
        log.ended(routed({ block, origin: { ...INBOUND, caller: () => agent } }));
        expect(lines).to.have.length(1);
        expect(lines[0]).to.not.match(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        expect(lines[0].length).to.be.lessThan(16_000);
        expect(JSON.parse(lines[0])).to.include({ code: 'OK', service: 'shop/payment:80' });
      }),
    );
  });

  it('UTF-8 is shown as text', () => {
    const block = blockOf({ ...CHARGE, ':path': `/${Buffer.from('käse/prüfen').toString('latin1')}`, 'user-agent': 'x'.repeat(600) });
    const line = lineOf(routed({ block }));
    expect(line.method).to.equal('käse/prüfen');
    expect(line.user_agent).to.equal(`${'x'.repeat(511)}…`);
  });
});
