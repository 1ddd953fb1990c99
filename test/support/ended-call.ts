// Ended calls for tests of what reports on them.
import type { EndedCall } from '#sidecar/forward/ended-call.ts';
import { makeField } from '#sidecar/http/field.ts';
import { HeaderBlock, Template } from '#sidecar/http/header-block.ts';

/** A request's header block from names and values; varying fields are told apart as the decoder does. */
export function blockOf(headers: Readonly<Record<string, string>>): HeaderBlock {
  const fields = Object.entries(headers).map(([name, value], id) => makeField(name, value, false, id));
  return new HeaderBlock(
    new Template(fields.filter(({ of }) => !of.varying)),
    fields.filter(({ of }) => of.varying),
    false,
  );
}

/** A gRPC call that took 1 ms and ended OK at the endpoint, but for what is given. */
export function endedCall(given: Partial<EndedCall> & { readonly latencyMs?: number } = {}): EndedCall {
  const { latencyMs = 1, ...rest } = given;
  return {
    origin: { direction: 'outbound', caller: () => 'shop/checkout', mtls: null },
    block: blockOf({
      ':method': 'POST',
      ':scheme': 'http',
      ':path': '/payment.PaymentService/Charge',
      ':authority': 'payment',
      'content-type': 'application/grpc',
    }),
    plan: null,
    variant: null,
    lastEndpoint: null,
    startMs: 1000,
    endMs: 1000 + latencyMs,
    attempts: 1,
    requestBytes: 0,
    responseBytes: 0,
    httpStatus: 200,
    grpcStatus: 0,
    error: null,
    reason: '',
    cancelled: false,
    trace: null,
    ...rest,
  };
}
