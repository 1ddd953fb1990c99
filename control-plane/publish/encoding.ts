// Responses as octets. What many sidecars get is encoded once for all of them.
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type Resource, ResourceSchema, type SubscribeResponse, SubscribeResponseSchema } from '#core/contract/gen/weft/v1/config_pb.ts';

const RESOURCES = SubscribeResponseSchema.field.resources.number;

/** Resource → its octets as a field of a response, for as long as the resource is kept. */
const encoded = new WeakMap<Resource, Uint8Array>();

/** The message's octets. Its fields may come in any order (protobuf.dev, Encoding, "Field Order"). */
export function encodeResponse(response: SubscribeResponse): Buffer {
  const { nonce, removed, absent, resources } = response;
  const rest = toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { nonce, removed, absent }));
  return Buffer.concat([rest, ...resources.map(encodeResource)]);
}

function encodeResource(resource: Resource): Uint8Array {
  let octets = encoded.get(resource);
  if (octets === undefined) {
    octets = new BinaryWriter().tag(RESOURCES, WireType.LengthDelimited).bytes(toBinary(ResourceSchema, resource)).finish();
    // A workload is one sidecar's own, which has it once.
    if (resource.body.case !== 'workload') encoded.set(resource, octets);
  }
  return octets;
}
