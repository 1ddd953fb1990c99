// scope(): what one workload gets of a Service.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { neededBy, scopeService, serviceAddress } from '#control-plane/scope.ts';
import { EndpointsSchema, RouteKind, ServiceSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';

const table = (name: string) => ({
  kind: RouteKind.GRPC,
  rules: [
    {
      route: { kind: 'GRPCRoute', namespace: name, name },
      backends: [{ ref: { namespace: 'shop', name: `${name}-v1`, port: 80 }, weight: 1 }],
    },
  ],
  matches: [{}],
});

const service = create(ServiceSchema, {
  namespace: 'shop',
  name: 'payment',
  addresses: ['10.96.0.1'],
  ports: [
    { port: 80, name: 'grpc', routes: table('producer'), consumers: [{ namespace: 'bank', routes: table('bank') }] },
    { port: 81, consumers: [{ namespace: 'bank', routes: table('bank') }] },
    { port: 82, routes: table('producer') },
  ],
});

const routeOf = (namespace: string) => scopeService(service, { namespace }).ports.map(({ routes }) => routes?.rules[0].route?.name);

describe('scopeService', () => {
  it("gives a namespace its own group where it has one, per port, and otherwise the producer's", () => {
    expect(routeOf('bank')).to.deep.equal(['bank', 'bank', 'producer']);
    expect(routeOf('shop')).to.deep.equal(['producer', undefined, 'producer']);
    expect(routeOf('elsewhere')).to.deep.equal(['producer', undefined, 'producer']);
  });

  it('leaks no group of another namespace, and keeps the rest', () => {
    const { ports, ...rest } = scopeService(service, { namespace: 'elsewhere' });
    expect(ports.flatMap(({ consumers }) => consumers)).to.deep.equal([]);
    expect(ports.map(({ port, name }) => [port, name])).to.deep.equal([
      [80, 'grpc'],
      [81, ''],
      [82, ''],
    ]);
    expect([rest.namespace, rest.name, rest.addresses]).to.deep.equal(['shop', 'payment', ['10.96.0.1']]);
    expect(service.ports[0].consumers).to.have.length(1);
  });

  it('costs nothing where no namespace has routes of its own', () => {
    const plain = create(ServiceSchema, { ports: [{ port: 80, routes: table('producer') }] });
    expect(scopeService(plain, { namespace: 'shop' })).to.equal(plain);
  });
});

describe('neededBy', () => {
  const mirror = (name: string, numerator = 1, invalid = '') => ({
    kind: { case: 'mirror' as const, value: { backend: { namespace: 'm', name, port: 80 }, numerator, denominator: 100, invalid } },
  });

  it('is the Service itself, backends with a share, and mirrors', () => {
    const routed = create(ServiceSchema, {
      namespace: 'shop',
      name: 'payment',
      ports: [
        {
          port: 80,
          routes: {
            rules: [
              {
                filters: [mirror('copy'), mirror('never', 0), mirror('gone', 1, 'there is no such Service')],
                backends: [
                  { ref: { namespace: 'shop', name: 'v1', port: 80 }, weight: 1, filters: [mirror('backend-copy')] },
                  { ref: { namespace: 'shop', name: 'v2', port: 80 }, weight: 0 },
                  { ref: { namespace: 'shop', name: 'v3', port: 80 }, weight: 1, invalid: 'there is no such Service' },
                ],
              },
              { invalid: 'bad filter', backends: [{ ref: { namespace: 'shop', name: 'v4', port: 80 }, weight: 1 }] },
            ],
          },
        },
        { port: 81, routes: { rules: [{ backends: [{ ref: { namespace: 'bank', name: 'v1', port: 80 }, weight: 1 }] }] } },
      ],
    });
    expect(neededBy(routed)).to.deep.equal(['bank/v1', 'm/backend-copy', 'm/copy', 'shop/payment', 'shop/v1']);
  });
});

describe('serviceAddress', () => {
  const endpoints = (identity: string) =>
    create(EndpointsSchema, { ports: [{ port: 80 }, { port: 81, endpoints: [{ address: '10.0.0.1', port: 8080, identity }] }] });

  it('says where a Service is', () => {
    const { namespace, name, addresses, ports } = serviceAddress(service, undefined, { namespace: 'shop' });
    expect({ namespace, name, addresses, ports }).to.deep.equal({
      namespace: 'shop',
      name: 'payment',
      addresses: ['10.96.0.1'],
      ports: [80, 81, 82],
    });
  });

  it('names its other addresses and node ports, in the view of a consumer too', () => {
    const more = { loadBalancerAddresses: ['203.0.113.1'], externalAddresses: ['192.0.2.1'] };
    const ports = [{ port: 80, nodePort: 30080, consumers: [{ namespace: 'bank', routes: table('bank') }] }, { port: 81 }];
    const exposed = create(ServiceSchema, { addresses: ['10.96.0.1'], ...more, ports });
    expect(serviceAddress(exposed, undefined, { namespace: 'shop' })).to.deep.include({ ...more, nodePorts: [30080, 0] });
    expect(scopeService(exposed, { namespace: 'bank' })).to.deep.include(more);
    expect(scopeService(exposed, { namespace: 'bank' }).ports.map(({ nodePort }) => nodePort)).to.deep.equal([30080, 0]);
    expect(serviceAddress(service, undefined, { namespace: 'shop' }).nodePorts).to.deep.equal([]);
  });

  it('says whether it has routes, for this workload', () => {
    const consumed = create(ServiceSchema, { ports: [{ port: 80, consumers: [{ namespace: 'bank', routes: table('bank') }] }] });
    expect(serviceAddress(consumed, undefined, { namespace: 'bank' }).routed).to.equal(true);
    expect(serviceAddress(consumed, undefined, { namespace: 'shop' }).routed).to.equal(false);
  });

  it('says whether an endpoint has a sidecar', () => {
    expect(serviceAddress(service, endpoints('spiffe://x'), { namespace: 'shop' }).meshed).to.equal(true);
    expect(serviceAddress(service, endpoints(''), { namespace: 'shop' }).meshed).to.equal(false);
    expect(serviceAddress(service, undefined, { namespace: 'shop' }).meshed).to.equal(false);
  });
});
