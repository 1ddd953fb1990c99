// Names of resources: what one plane makes the other takes apart again; and the order covers every kind of the wire.
import { expect } from 'chai';
import fc from 'fast-check';
import { type Resource, ResourceSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  nameRank,
  parseResourceName,
  podResourceName,
  RESOURCE_ORDER,
  type ResourceName,
  resourceRank,
  type StreamResourceKind,
  serviceResourceName,
  TRUST_RESOURCE,
  WORKLOAD_RESOURCE,
} from '#core/contract/resource-names.ts';

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,12}[a-z0-9])?$/);
const key = fc.tuple(label, label).map(([namespace, name]) => `${namespace}/${name}`);

const names: fc.Arbitrary<ResourceName> = fc.oneof(
  fc.constantFrom<ResourceName>({ kind: 'trust' }, { kind: 'workload' }, { kind: 'places' }),
  fc.record({ kind: fc.constantFrom('endpoints' as const, 'service' as const, 'address' as const), key }),
  fc.record({ kind: fc.constant('pod' as const), address: fc.oneof(fc.ipV4(), fc.ipV6()) }),
);

/** The name of what parseResourceName() gives. */
function made(name: ResourceName): string {
  if (name.kind === 'pod') return podResourceName(name.address);
  return 'key' in name ? serviceResourceName(name.kind, name.key) : name.kind;
}

describe('names of resources', () => {
  it('a name that was made is taken apart into the same parts', () => {
    fc.assert(fc.property(names, (name) => void expect(parseResourceName(made(name))).to.deep.equal(name)));
  });

  it('any text that has parts is the name made of them', () => {
    const kind = fc.constantFrom('trust', 'workload', 'endpoints', 'service', 'address', 'pod', 'route', '');
    const texts = fc.oneof(
      fc.string(),
      fc.tuple(kind, fc.string()).map(([k, rest]) => `${k}/${rest}`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const name = parseResourceName(text);
        if (name !== null) expect(made(name)).to.equal(text);
      }),
    );
  });

  it('have the shapes of the wire', () => {
    expect(serviceResourceName('service', 'shop/payment')).to.equal('service/shop/payment');
    expect(podResourceName('fd00::1')).to.equal('pod/fd00::1');
    expect(parseResourceName(TRUST_RESOURCE)).to.deep.equal({ kind: 'trust' });
    expect(parseResourceName(WORKLOAD_RESOURCE)).to.deep.equal({ kind: 'workload' });
  });

  it('what is no name of a known kind has no parts', () => {
    for (const text of ['', 'service', 'service/', 'pod/', 'route/shop/payment', 'trust/shop', '/shop/payment', 'Service/shop/payment'])
      expect(parseResourceName(text), text).to.equal(null);
  });
});

describe('order of resources', () => {
  it('has each kind of the wire once', () => {
    const kinds = ResourceSchema.oneofs[0]!.fields.map(({ localName }) => localName);
    // A delta is endpoints.
    expect([...RESOURCE_ORDER, 'endpointsDelta'].sort()).to.deep.equal(kinds.sort());
    expect(resourceRank('endpointsDelta')).to.equal(resourceRank('endpoints'));
  });

  it('sends what a start needs first, endpoints before the Service, the Service before its address, and answers last', () => {
    const shuffled = fc.shuffledSubarray<StreamResourceKind | undefined>([...RESOURCE_ORDER, undefined], {
      minLength: RESOURCE_ORDER.length + 1,
    });
    fc.assert(
      fc.property(shuffled, (kinds) => {
        const sorted = [...kinds].sort((a, b) => resourceRank(a) - resourceRank(b));
        expect(sorted).to.deep.equal(['trust', 'workload', 'places', 'endpoints', 'service', 'address', 'pod', undefined]);
      }),
    );
  });

  it('has the same place for a name as for what it names', () => {
    const kindOf = { endpoints: 'endpoints/a/b', service: 'service/a/b', address: 'address/a/b', pod: 'pod/10.0.0.1' };
    for (const kind of RESOURCE_ORDER) {
      const name = kind in kindOf ? kindOf[kind as keyof typeof kindOf] : kind;
      expect(nameRank(name), name).to.equal(resourceRank(kind));
    }
  });

  it('a kind of a newer control plane comes last', () => {
    expect(resourceRank('route' as Resource['body']['case'])).to.equal(RESOURCE_ORDER.length);
  });
});
