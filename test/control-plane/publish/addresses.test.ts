// Addresses that a sidecar sends to directly: answered, followed, forgotten.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { MOST_WANTED } from '#control-plane/publish/wanted.ts';
import { HelloSchema, type Resource, type SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';
import { MOST_WANTED_SERVICES as MOST_SERVICES } from '#sidecar/control/wants.ts';
import { MOST_ADDRESSES } from '#sidecar/outbound/pod-addresses.ts';
import { Shop } from './shop.ts';

function connect(shop: Shop, addresses: string[] = []) {
  const responses: SubscribeResponse[] = [];
  let ended = '';
  const peer = { namespace: 'shop', serviceAccount: 'default', pod: 'a' };
  const hello = create(HelloSchema, { namespace: 'shop', pod: 'a', addresses });
  const subscriber = shop.publisher.connect(peer, hello, {
    send: (response) => responses.push(response),
    end: ({ reason }) => (ended = reason),
  });
  const acknowledge = () => {
    const { nonce } = responses.at(-1)!;
    subscriber.acknowledge({ $typeName: 'weft.v1.Ack', nonce, rejected: [] });
  };
  const identities = () => {
    const all = responses.flatMap(({ resources }) => resources);
    const of = ({ name, body }: Resource) => (body.case === 'pod' ? [[name, body.value.identity]] : []);
    return Object.fromEntries(all.flatMap(of));
  };
  return { subscriber, responses, acknowledge, identities, ended: () => ended };
}

describe('pod addresses on the stream', () => {
  it('are answered also where no pod is, and again when another pod is there', () => {
    const shop = new Shop();
    shop.pods.set('10.0.0.1', 'spiffe://a');
    const { subscriber, acknowledge, identities, responses } = connect(shop);
    acknowledge();
    subscriber.wantAddresses(['10.0.0.1', '192.0.2.1'], []);
    expect(identities()).to.deep.equal({ 'pod/10.0.0.1': 'spiffe://a', 'pod/192.0.2.1': '' });
    acknowledge();
    const before = responses.length;
    shop.pods.set('10.0.0.2', 'spiffe://other');
    shop.publisher.addressesChanged(new Set(['10.0.0.2']));
    shop.publisher.addressesChanged(new Set(['10.0.0.1']));
    expect(responses).to.have.length(before);
    shop.pods.set('10.0.0.1', 'spiffe://b');
    shop.publisher.addressesChanged(new Set(['10.0.0.1']));
    expect(identities()['pod/10.0.0.1']).to.equal('spiffe://b');
  });

  it('that are dropped are neither reported nor removed; those of the hello are answered', () => {
    const shop = new Shop();
    const { subscriber, acknowledge, identities, responses } = connect(shop, ['10.0.0.1']);
    expect(identities()).to.deep.equal({ 'pod/10.0.0.1': '' });
    acknowledge();
    subscriber.wantAddresses([], ['10.0.0.1']);
    shop.pods.set('10.0.0.1', 'spiffe://a');
    shop.publisher.addressesChanged(new Set(['10.0.0.1']));
    expect(responses).to.have.length(1);
    subscriber.wantAddresses(['10.0.0.1'], []);
    expect(identities()['pod/10.0.0.1']).to.equal('spiffe://a');
  });

  it('that were dropped while their answer was on its way are answered when they are wanted again', () => {
    const shop = new Shop();
    shop.pods.set('10.0.0.1', 'spiffe://a');
    const { subscriber, acknowledge, responses } = connect(shop);
    acknowledge();
    subscriber.wantAddresses(['10.0.0.1'], []);
    subscriber.wantAddresses([], ['10.0.0.1']);
    acknowledge();
    const before = responses.length;
    subscriber.wantAddresses(['10.0.0.1'], []);
    expect(responses.slice(before).flatMap(({ resources }) => resources.map(({ name }) => name))).to.deep.equal(['pod/10.0.0.1']);
  });

  it('count as wants', () => {
    const { subscriber, ended } = connect(new Shop());
    subscriber.wantAddresses(
      Array.from({ length: MOST_WANTED + 1 }, (_, i) => `10.0.${i >> 8}.${i & 255}`),
      [],
    );
    expect(ended()).to.equal('too many wants');
  });

  it('of a sidecar that wants as much as it ever can do not end its stream', () => {
    const shop = new Shop();
    const many = (prefix: string, length = MOST_SERVICES) => Array.from({ length }, (_, i) => `shop/${prefix}${i}`);
    for (const key of many('sibling', MOST_SERVICES / 2 + 1)) shop.set(key.slice('shop/'.length), {});
    shop.clock.pass(1000);
    connect(shop).subscriber.want(many('sibling', MOST_SERVICES / 2 + 1));
    const { subscriber, ended } = connect(shop);
    shop.clock.pass(1000);
    subscriber.want(many('own'));
    subscriber.wantAddresses(
      Array.from({ length: MOST_ADDRESSES }, (_, i) => `10.0.${i >> 8}.${i & 255}`),
      [],
    );
    shop.clock.pass(1000);
    expect(subscriber.wants.size).to.be.greaterThan(MOST_SERVICES + MOST_ADDRESSES);
    expect(ended()).to.equal('');
  });
});
