// Where resources go into force: in the contract's order, each taken or refused alone.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { type Resource, ResourceSchema, TrustBundleSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  EndpointsSchema,
  PodAddressSchema,
  ServiceAddressSchema,
  ServicePlacesSchema,
  ServiceSchema,
  WorkloadSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { applyResources, type ResourceTakers } from '#sidecar/control/resources.ts';

const named = { namespace: 'shop', name: 'payment' };
const BODIES: readonly Resource['body'][] = [
  { case: 'address', value: create(ServiceAddressSchema, named) },
  { case: 'places', value: create(ServicePlacesSchema) },
  { case: 'pod', value: create(PodAddressSchema, { address: '10.0.0.1' }) },
  { case: 'service', value: create(ServiceSchema, named) },
  { case: undefined },
  { case: 'endpoints', value: create(EndpointsSchema, named) },
  { case: 'workload', value: create(WorkloadSchema, named) },
  { case: 'trust', value: create(TrustBundleSchema) },
];

const ALL = ['trust', 'workload', 'places', 'endpoints', 'service', 'pod', 'address'];

describe('applyResources', () => {
  /** @param bad a kind whose taker throws @returns takers that note what they do */
  function recording(bad = ''): { takers: ResourceTakers; done: string[] } {
    const done: string[] = [];
    const taker = (kind: string) => ({
      take: (): void => {
        if (kind === bad) throw new Error('it is bad');
        done.push(kind);
      },
      remove: (key: string): void => void done.push(`-${kind} ${key}`),
    });
    const [trust, workload, places, endpoints, service, pod, address] = ALL.map(taker);
    return { takers: { trust, workload, places, endpoints, service, pod, address }, done };
  }

  const resources = BODIES.map((body, i) => create(ResourceSchema, { name: `${body.case ?? 'new'}/${i}`, version: 'v1', body }));

  it('puts kinds into force in the order of the contract, passes over unknown ones, and removes last', () => {
    const { takers, done } = recording();
    const removed = ['service/shop/cart', 'address/shop/cart', 'endpoints/shop/cart', 'pod/10.0.0.2', 'new/thing', 'trust', 'places'];
    expect(applyResources(takers, resources, removed)).to.deep.equal([]);
    expect(done).to.deep.equal([
      ...['trust', 'workload', 'places', 'endpoints', 'service', 'address', 'pod'],
      ...['-service shop/cart', '-address shop/cart', '-endpoints shop/cart', '-places '],
    ]);
  });

  it('refuses a resource that its taker cannot use, with the reason, and takes all others', () => {
    const { takers, done } = recording('service');
    const rejections = applyResources(takers, resources, []);
    expect(rejections.map(({ name, version, reason }) => [name, version, reason])).to.deep.equal([['service/3', 'v1', 'it is bad']]);
    expect(done).to.deep.equal(['trust', 'workload', 'places', 'endpoints', 'address', 'pod']);
  });
});
