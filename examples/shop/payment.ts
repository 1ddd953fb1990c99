// The payment service. Its version and the address it listens on come from the environment of the Deployment.
import { create } from '@bufbuild/protobuf';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { type ChargeRequest, type ChargeResponse, ChargeResponseSchema, type HistoryRequest } from './gen/payment/payment_pb.ts';
import { paymentService } from './service.ts';

const version = process.env.VERSION ?? 'v1';
const pod = process.env.POD_NAME ?? '';
/** How many of a hundred charges fail: for trying alerts. */
const failPercent = Number(process.env.FAIL_PERCENT ?? '0');
// Not all addresses: under `weft run` many pods share one machine, each with an address of its own.
const address = `${process.env.POD_IP ?? '127.0.0.1'}:${process.env.PORT ?? '8080'}`;

function answer(request: ChargeRequest, metadata: Metadata): ChargeResponse {
  const routeHeader = String(metadata.get('x-weft-route')[0] ?? '');
  return create(ChargeResponseSchema, { order: request.order, cents: request.cents, version, pod, routeHeader });
}

const server = new Server();
server.addService(paymentService, {
  charge(call: ServerUnaryCall<ChargeRequest, ChargeResponse>, callback: sendUnaryData<ChargeResponse>) {
    if (Math.random() * 100 < failPercent) callback({ code: status.INTERNAL, details: 'the card processor answers nonsense' });
    else callback(null, answer(call.request, call.metadata));
  },
  history(call: ServerWritableStream<HistoryRequest, ChargeResponse>) {
    const count = Math.min(call.request.count, 100);
    for (let i = 0; i < count; i++) call.write(create(ChargeResponseSchema, { order: `past-${i}`, cents: 100 * i, version, pod }));
    call.end();
  },
  reconcile(call: ServerDuplexStream<ChargeRequest, ChargeResponse>) {
    call.on('data', (request: ChargeRequest) => call.write(answer(request, call.metadata)));
    call.on('end', () => call.end());
    call.on('error', () => {});
  },
});

server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
  if (error) {
    console.error(`cannot listen on ${address}: ${error.message}`);
    process.exit(1);
  }
  console.log(`payment ${version} listens on ${address}`);
});

process.on('SIGTERM', () => server.tryShutdown(() => process.exit(0)));
