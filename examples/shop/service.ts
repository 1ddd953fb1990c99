// payment.PaymentService as grpc-js wants it: paths, shapes and the generated message codecs.
// The generated code: npx buf generate examples/shop/proto --template
// '{"version":"v2","plugins":[{"local":"protoc-gen-es","out":"examples/shop/gen","opt":["target=ts","import_extension=ts","erasable_syntax=true"]}]}'
import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { makeGenericClientConstructor, type ServiceDefinition } from '@grpc/grpc-js';
import { PaymentService } from './gen/payment/payment_pb.ts';

function codec<D extends DescMessage>(schema: D) {
  return {
    serialize: (message: MessageShape<D>) => Buffer.from(toBinary(schema, message)),
    deserialize: (bytes: Buffer) => fromBinary(schema, bytes),
  };
}

/** Made from the generated descriptor, so a method added to the proto needs nothing here. */
export const paymentService: ServiceDefinition = Object.fromEntries(
  PaymentService.methods.map((method) => {
    const request = codec(method.input);
    const response = codec(method.output);
    return [
      method.localName,
      {
        path: `/${PaymentService.typeName}/${method.name}`,
        requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
        responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
        requestSerialize: request.serialize,
        requestDeserialize: request.deserialize,
        responseSerialize: response.serialize,
        responseDeserialize: response.deserialize,
      },
    ];
  }),
);

export const PaymentClient = makeGenericClientConstructor(paymentService, PaymentService.typeName);
