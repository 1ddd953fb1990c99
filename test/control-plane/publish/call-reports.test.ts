// Traced calls that sidecars report: what is kept of what they say, over the wire and in the report, with a control
// plane that does not know of them too.
import { create, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { MOST_CALLS, RECENT_MS, type ReportedCall, ReportedCalls, worthShowing } from '#control-plane/publish/call-reports.ts';
import { statusReport } from '#control-plane/view/status.ts';
import {
  AckSchema,
  type CallReport,
  CallReportSchema,
  HelloSchema,
  type SubscribeRequest,
  SubscribeRequestSchema,
  TracedCallSchema,
  WantSchema,
} from '#core/contract/gen/weft/v1/config_pb.ts';
import { silentLogger } from '#core/program/log.ts';
import type { KubeObject } from '#kube/object.ts';
import { until } from '../../support/until.ts';
import { certify, dial, type Sidecar } from './sidecar.ts';

const NOW_MS = 1_700_000_000_000;

interface Told {
  traceId?: string;
  service?: string;
  method?: string;
  grpcStatus?: number;
  durationMs?: number;
  endedMs?: number;
  kind?: string;
}

function reportOf(...calls: Told[]): CallReport {
  return create(CallReportSchema, {
    calls: calls.map(({ traceId = 'a'.repeat(32), service = 'shop/payment:80', endedMs = NOW_MS, kind = 'slow', ...rest }) =>
      create(TracedCallSchema, { traceId, service, endedMs: BigInt(endedMs), kind, method: 'p.P/Charge', durationMs: 5, ...rest }),
    ),
  });
}

function kept(...reports: CallReport[]): readonly ReportedCall[] {
  const calls = new ReportedCalls();
  for (const report of reports) calls.take(report, (service) => service.startsWith('shop/'), NOW_MS);
  return calls.all();
}

describe('control-plane/publish: reported calls', () => {
  it('keeps of each Service a recent slow call and the last failed one', () => {
    const calls = kept(
      reportOf({ durationMs: 90, endedMs: NOW_MS - 2000 }, { kind: 'failed', grpcStatus: 14, endedMs: NOW_MS - 2000 }),
      reportOf({ durationMs: 20, endedMs: NOW_MS - 1000 }, { kind: 'failed', grpcStatus: 5, endedMs: NOW_MS - 1000 }),
      reportOf({ service: 'shop/ledger:80', durationMs: 1 }),
    );
    expect(calls.map(({ service, kind, ms, code }) => [service, kind, ms, code])).to.deep.equal([
      ['shop/ledger:80', 'slow', 1, 0],
      ['shop/payment:80', 'failed', 5, 5],
      ['shop/payment:80', 'slow', 90, 0],
    ]);
    const later = kept(reportOf({ durationMs: 90, endedMs: NOW_MS - RECENT_MS - 1 }), reportOf({ durationMs: 20 }));
    expect(
      later.map(({ ms }) => ms),
      'long ago is not recent',
    ).to.deep.equal([20]);
  });

  it('passes over what is no call of a Service that the sidecar uses, and bounds the rest', () => {
    const bad: Told[] = [{ traceId: '\u001b[2J' }, { traceId: '' }, { kind: 'other' }, { kind: '' }, { service: 'secret/vault:80' }];
    expect(kept(reportOf(...bad))).to.deep.equal([]);
    const [odd] = kept(reportOf({ method: 'x'.repeat(100_000), durationMs: Number.NaN, endedMs: NOW_MS + 1e12 }));
    expect(odd).to.include({ ms: 0, endedMs: NOW_MS }).and.nested.include({ 'method.length': 200 });
    const [steering] = kept(reportOf({ method: `\u001b[31m\u009b2J\u202e${'\u{1f600}'.repeat(200)}` }));
    expect(steering.method).to.match(/^\\u001b\[31m\\u009b2J\\u202e/);
    expect(steering.method.length).to.be.at.most(200);
    expect(steering.method.isWellFormed(), 'no half of a character').to.equal(true);
    expect(kept(reportOf({ durationMs: -5, endedMs: -1 }))[0]).to.include({ ms: 0, endedMs: 0 });
    expect(kept(reportOf({ durationMs: Number.POSITIVE_INFINITY }))[0].ms).to.equal(0);
    const many = (from: number) =>
      reportOf(...Array.from({ length: 1000 }, (_, i) => ({ service: `shop/s${from + i}:80`, endedMs: NOW_MS - 1e6 + from })));
    const all = kept(many(0), many(500_000));
    expect(all).to.have.length(MOST_CALLS);
    expect(
      all.every(({ service }) => Number(/\d+/.exec(service)![0]) >= 500_000),
      'the newest stay',
    ).to.equal(true);
  });

  it('chooses among sidecars likewise', () => {
    const [slow] = kept(reportOf({ durationMs: 5 }));
    expect(worthShowing([slow, { ...slow, ms: 7 }, { ...slow, ms: 9, endedMs: NOW_MS - 2 * RECENT_MS }])).to.deep.equal([
      { ...slow, ms: 7 },
    ]);
  });

  describe('over the wire', () => {
    let controlPlane: ControlPlane;
    let authority: Authority;
    const opened: Sidecar[] = [];

    const service = (name: string) =>
      ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'shop' },
        spec: { clusterIP: '10.0.0.1', ports: [{ name: 'grpc', port: 80 }] },
      }) as KubeObject;

    const podOf = (name: string) =>
      ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop' }, spec: { serviceAccountName: 'checkout' } }) as KubeObject;

    before(async () => {
      authority = await Authority.create({ trustDomain: 'test.local', now: Date.now });
      controlPlane = await startControlPlane({
        authority,
        verifyToken: async () => ({ error: 'not in this test' }),
        host: '127.0.0.1',
        port: 0,
        objects: [service('payment'), service('ledger'), ...['checkout-1', 'checkout-2'].map(podOf)],
        log: silentLogger,
      });
    });

    after(async () => {
      for (const sidecar of opened) sidecar.close();
      await controlPlane.close();
    });

    async function connect(serialize?: () => Buffer): Promise<Sidecar> {
      const sidecar = dial(controlPlane.port, authority.rootsPem(), await certify(authority, 'shop', 'checkout'), serialize);
      opened.push(sidecar);
      return sidecar;
    }

    const calls = () =>
      statusReport(controlPlane, { replica: '', leader: true, trustDomain: '', missingKinds: [], problems: [], reflectors: [] }).calls;

    it('shows them in the report, with the caller, as long as the sidecar is there', async () => {
      const sidecar = (await connect()).hello('checkout-1', ['shop/payment']);
      const value = reportOf({ durationMs: 41 }, { service: 'shop/ledger:80' }, { kind: 'failed', grpcStatus: 14 });
      sidecar.send({ case: 'calls', value });
      await until(() => calls().length === 2, 'the calls are reported');
      expect(calls().map(({ service, kind, from, ms, code }) => [service, kind, from, ms, code])).to.deep.equal([
        ['shop/payment:80', 'failed', 'shop/checkout-1', 5, 14],
        ['shop/payment:80', 'slow', 'shop/checkout-1', 41, 0],
      ]);
      sidecar.close();
      await until(() => calls().length === 0, 'the sidecar is gone');
    });

    it('lets a control plane that does not know a message pass over it', async () => {
      const bytes = (message: SubscribeRequest['message']) =>
        Buffer.from(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { message })));
      // Field 15 is to this control plane what `calls` is to an older one.
      const unknown = Buffer.from([0x7a, 0x02, 0x0a, 0x00]);
      const out = [
        bytes({ case: 'hello', value: create(HelloSchema, { namespace: 'shop', pod: 'checkout-2' }) }),
        unknown,
        bytes({ case: 'ack', value: create(AckSchema, { nonce: '1' }) }),
        bytes({ case: 'want', value: create(WantSchema, { services: ['shop/payment'] }) }),
      ];
      const sidecar = await connect(() => out.shift()!);
      sidecar.answers = false;
      sidecar.hello('');
      await sidecar.until(() => sidecar.responses.length === 1);
      for (let i = 0; i < 3; i++) sidecar.send({ case: 'calls', value: reportOf({}) });
      await sidecar.until(() => sidecar.responses.length === 2 || sidecar.ended !== null);
      expect(sidecar.ended).to.equal(null);
      expect(sidecar.responses[1].resources.map(({ name }) => name)).to.include('service/shop/payment');
    });
  });
});
