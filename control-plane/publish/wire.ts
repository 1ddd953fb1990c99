// Turns a service that protobuf-es generated into what grpc-js takes, so that no second protobuf runtime is needed.
import { type DescService, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

/**
 * The grpc-js definition of a service, its methods keyed by their names in TypeScript (`subscribe`).
 * Bytes that are not the message make grpc-js answer with INTERNAL before the handler sees anything.
 */
export function serviceDefinition(service: DescService): ServiceDefinition {
  const methods: Record<string, MethodDefinition<Message, Message>> = {};
  for (const method of service.methods) {
    methods[method.localName] = {
      path: `/${service.typeName}/${method.name}`,
      originalName: method.localName,
      requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
      responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
      requestSerialize: (message) => Buffer.from(toBinary(method.input, message)),
      requestDeserialize: (bytes) => fromBinary(method.input, bytes),
      responseSerialize: (message) => Buffer.from(toBinary(method.output, message)),
      responseDeserialize: (bytes) => fromBinary(method.output, bytes),
    };
  }
  return methods;
}
