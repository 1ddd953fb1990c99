// The index of addresses: found, moved and forgotten with their Services, and small.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { type ServiceAddress, ServiceAddressSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { AddressIndex } from '#sidecar/outbound/address-index.ts';

const service = (
  name: string,
  addresses: string[],
  ports = [80],
  more: MessageInitShape<typeof ServiceAddressSchema> = {},
): ServiceAddress => create(ServiceAddressSchema, { namespace: 'shop', name, addresses, ports, routed: false, meshed: false, ...more });

describe('sidecar: index of addresses', () => {
  let index: AddressIndex;
  beforeEach(() => (index = new AddressIndex()));

  it('finds a Service by each of its addresses', () => {
    index.take(service('cart', ['10.96.0.1', 'fd00::1'], [80, 443], { routed: true }));
    const cart = { namespace: 'shop', name: 'cart', ports: [80, 443], concerns: true };
    expect(index.dump()).to.deep.equal({ '10.96.0.1': cart, 'fd00::1': cart });
    expect(index.at('10.96.0.2')).to.equal(undefined);
  });

  it('says whether a Service concerns the mesh: by a route, or by an endpoint in it', () => {
    index.take(service('plain', ['10.96.0.1']));
    index.take(service('routed', ['10.96.0.2'], [80], { routed: true }));
    index.take(service('meshed', ['10.96.0.3'], [80], { meshed: true }));
    expect(['1', '2', '3'].map((last) => index.at(`10.96.0.${last}`)?.concerns)).to.deep.equal([false, true, true]);
  });

  it('replaces what is known of a Service: addresses, ports, concern', () => {
    index.take(service('cart', ['10.96.0.1', 'fd00::1']));
    index.take(service('cart', ['10.96.0.2'], [81], { meshed: true }));
    expect(index.dump()).to.deep.equal({ '10.96.0.2': { namespace: 'shop', name: 'cart', ports: [81], concerns: true } });
  });

  it('forgets a removed Service, but not the one that has its address now', () => {
    index.take(service('cart', ['10.96.0.1']));
    index.take(service('payment', ['10.96.0.1', '10.96.0.2']));
    index.remove('shop/cart');
    index.remove('shop/nobody');
    expect(index.at('10.96.0.1')?.name).to.equal('payment');
    index.remove('shop/payment');
    expect(index.size).to.equal(0);
  });

  it('forgets two Services that had the same address, in either order', () => {
    for (const [first, second] of [
      ['shop/cart', 'shop/payment'],
      ['shop/payment', 'shop/cart'],
    ] as const) {
      index.take(service('cart', ['10.96.0.1']));
      index.take(service('payment', ['10.96.0.1']));
      index.remove(first);
      index.remove(second);
      expect(index.size).to.equal(0);
    }
  });

  it('does not list a Service without addresses', () => {
    index.take(service('cart', ['10.96.0.1']));
    index.take(service('cart', []));
    expect(index.size).to.equal(0);
  });

  it('keeps equal ports and namespaces of neighbours once, and different ones apart', () => {
    index.take(service('a', ['10.96.0.1'], [80, 443]));
    index.take(service('b', ['10.96.0.2'], [80, 443]));
    index.take(service('c', ['10.96.0.3'], [80]));
    index.take(service('d', ['10.96.0.4'], [80, 444]));
    const ports = ['1', '2', '3', '4'].map((last) => index.at(`10.96.0.${last}`)!.ports);
    expect(ports).to.deep.equal([[80, 443], [80, 443], [80], [80, 444]]);
    expect(ports[1]).to.equal(ports[0]);
  });

  it('does not hold on to the message that it took', () => {
    const told = service('cart', ['10.96.0.1', '10.96.0.2']);
    index.take(told);
    told.ports.push(81);
    told.addresses.pop();
    expect(index.at('10.96.0.1')?.ports).to.deep.equal([80]);
    index.remove('shop/cart');
    expect(index.size).to.equal(0);
  });
});
