// Responses on the wire: any protobuf reader gets the message that was sent.
import { create, fromBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { encodeResponse } from '#control-plane/publish/encoding.ts';
import { addressResource, placesResource, workloadResource } from '#control-plane/publish/resources.ts';
import { SubscribeResponseSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import { ServiceAddressSchema, WorkloadSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { PlaceSet } from '#core/contract/places.ts';

describe('control-plane/publish: responses as octets', () => {
  it('have all parts of the message, also where resources are sent again', () => {
    const resources = [
      workloadResource(create(WorkloadSchema, { namespace: 'shop', pod: 'a' })),
      placesResource(PlaceSet.from(new Map([['10.96.0.1', 1]]))),
      addressResource('shop/cart', create(ServiceAddressSchema, { namespace: 'shop', name: 'cart', ports: [80] })),
    ].map(({ resource }) => resource);
    for (const parts of [resources, resources.toReversed(), []]) {
      const response = create(SubscribeResponseSchema, { nonce: '7', resources: parts, removed: ['service/shop/a'], absent: ['shop/b'] });
      expect(fromBinary(SubscribeResponseSchema, encodeResponse(response))).to.deep.equal(response);
    }
  });
});
