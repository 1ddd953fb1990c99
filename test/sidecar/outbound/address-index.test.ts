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

  describe('places beside ClusterIPs', () => {
    const places = (name: string, more: MessageInitShape<typeof ServiceAddressSchema>, ports = [80]) =>
      index.take(service(name, [`10.96.0.${name.charCodeAt(0)}`], ports, more));
    const at = (address: string, port: number) => {
      const found = index.outsideAt(address, port);
      return found && `${found.service.name}:${found.port}`;
    };
    const node = (port: number) => {
      const found = index.ofNodePort(port);
      return found && `${found.service.name}:${found.port}`;
    };

    it('may be shared by Services with different ports', () => {
      places('a', { externalAddresses: ['192.0.2.1'] });
      places('b', { externalAddresses: ['192.0.2.1'] }, [443, 8443]);
      expect([80, 443, 8443, 81].map((port) => at('192.0.2.1', port))).to.deep.equal(['a:80', 'b:443', 'b:8443', undefined]);
      index.remove('shop/a');
      expect([80, 443].map((port) => at('192.0.2.1', port))).to.deep.equal([undefined, 'b:443']);
    });

    it("are a load balancer's before they are anybody's externalIPs, and the first Service's by name", () => {
      for (const order of ['abc', 'cba']) {
        index = new AddressIndex();
        for (const name of order)
          places(name, name === 'c' ? { loadBalancerAddresses: ['192.0.2.1'] } : { externalAddresses: ['192.0.2.1'] });
        expect(at('192.0.2.1', 80)).to.equal('c:80');
        index.remove('shop/c');
        expect(at('192.0.2.1', 80)).to.equal('a:80');
      }
    });

    it("are a load balancer's for the pods in its ranges alone", () => {
      for (const [own, found] of [
        ['10.244.0.7', 'a:80'],
        ['10.245.0.7', undefined],
      ] as const) {
        index = new AddressIndex([own]);
        places('a', { loadBalancerAddresses: ['192.0.2.1'], loadBalancerRanges: ['10.244.0.0/16'], nodePorts: [30080] });
        expect(at('192.0.2.1', 80)).to.equal(found);
        expect(node(30080)).to.equal('a:80');
      }
    });

    it('have the Service port of each node port', () => {
      places('a', { nodePorts: [30080, 0, 30082] }, [80, 81, 82]);
      expect([30080, 30081, 30082, 0].map(node)).to.deep.equal(['a:80', undefined, 'a:82', undefined]);
    });

    it('are replaced and forgotten with their Service, but not those that another one has by now', () => {
      places('a', { nodePorts: [30080], externalAddresses: ['192.0.2.1'] });
      places('b', { nodePorts: [30080] });
      places('a', { externalAddresses: ['192.0.2.2'] });
      expect([node(30080), at('192.0.2.1', 80), at('192.0.2.2', 80)]).to.deep.equal(['b:80', undefined, 'a:80']);
      expect(index.dump()).to.have.keys('10.96.0.97', '10.96.0.98', '192.0.2.2 port 80', 'node port 30080');
      index.remove('shop/a');
      index.remove('shop/b');
      expect(index.dump()).to.deep.equal({});
      expect(index.size).to.equal(0);
    });
  });
});
