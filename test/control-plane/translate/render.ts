// A translation as plain data that tests can compare.
import { toJson } from '@bufbuild/protobuf';
import type { Translation } from '#control-plane/translate/service.ts';
import { EndpointsSchema, ServiceSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';

export function render({ service, endpoints, statuses }: Translation): unknown {
  return {
    service: service && toJson(ServiceSchema, service),
    endpoints: endpoints && toJson(EndpointsSchema, endpoints),
    statuses: structuredClone(statuses),
  };
}
