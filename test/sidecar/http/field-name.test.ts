// Which header names count as varying, and that a header with a value of its own per call leaves no template behind.
import { expect } from 'chai';
import { planFor } from '#sidecar/forward/plan.ts';
import { FieldNames, MAX_STABLE_VALUES } from '#sidecar/http/field-name.ts';
import { HpackDecoder } from '#sidecar/http2/hpack-decoder.ts';
import { inboundPort } from '#sidecar/inbound/peer-identity.ts';
import { ref, TestProxy } from '../../support/proxy.ts';
import { block, request } from '../../support/raw-peer.ts';

describe('names of header fields', () => {
  it('vary once a connection has seen more values of them than may be stable', () => {
    const names = new FieldNames();
    const user = names.get('x-user');
    expect(names.learn(user, MAX_STABLE_VALUES)).to.equal(false);
    expect(user.varying).to.equal(false);
    expect(names.learn(user, MAX_STABLE_VALUES + 1)).to.equal(true);
    expect(names.get('x-user').varying).to.equal(true);
    expect(names.isVarying('x-user')).to.equal(true);
  });

  it('never vary where a template is judged by them', () => {
    const names = new FieldNames();
    for (const text of [':path', ':authority', 'content-type', 'grpc-status', 'host', 'te']) {
      expect(names.learn(names.get(text), 10_000), text).to.equal(false);
      expect(names.get(text).varying, text).to.equal(false);
    }
  });

  it('count as varying when a stranger has made up more of them than have a record', () => {
    const names = new FieldNames();
    for (let i = 0; i < 5000; i++) names.get(`x-made-up-${i}`);
    expect(names.get('x-one-more').varying).to.equal(true);
    expect(names.get('te').varying).to.equal(false);
    expect(names.get('x-made-up-0').varying).to.equal(false);
  });
});

describe('a header with a value of its own in each call', () => {
  it('leaves one template and one plan', async () => {
    const proxy = await TestProxy.start({ endpoints: [] });
    const decoder = new HpackDecoder(4096, new FieldNames());
    const port = inboundPort(ref('payment'), 'spiffe://td/ns/shop/sa/checkout');
    const decode = (i: number) => {
      const octets = block(request('/s/M', ['x-correlation-id', `id-${i}`]));
      return decoder.decode(octets, 0, octets.length);
    };
    for (let i = 0; i <= MAX_STABLE_VALUES; i++) decode(i);
    const first = decode(1000);
    const plan = planFor(first, port, proxy.upstreams);
    for (let i = 0; i < 1000; i++) {
      const next = decode(2000 + i);
      expect(next.template).to.equal(first.template);
      expect(planFor(next, port, proxy.upstreams)).to.equal(plan);
      expect(next.value('x-correlation-id')).to.equal(`id-${2000 + i}`);
    }
    proxy.close();
  });

  it('still loses a claim of identity that was learned to vary', async () => {
    const proxy = await TestProxy.start({ endpoints: [] });
    const decoder = new HpackDecoder(4096, new FieldNames());
    const port = inboundPort(ref('payment'), '');
    for (let i = 0; i < 100; i++) {
      const octets = block(request('/s/M', ['x-forwarded-client-cert', `URI=spiffe://liar/${i}`]));
      const decoded = decoder.decode(octets, 0, octets.length);
      const [variant] = planFor(decoded, port, proxy.upstreams).variants;
      const edited = variant.editsVarying || !variant.source.list.includes('x-forwarded-client-cert');
      expect(edited, `${i}`).to.equal(true);
    }
    proxy.close();
  });
});
