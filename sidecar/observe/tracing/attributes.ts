// What a span says beside its times: octets of OTLP attributes. Those that calls share are made once and remembered.
// Names are the stable ones of OpenTelemetry's semantic conventions 1.45; Weft's own begin with "weft."
// (docs/reference/tracing.md).
import type { EndpointState } from '../../balance/endpoint-state.ts';
import type { EndedCall } from '../../forward/ended-call.ts';
import { portLabel, routeLabel, ruleLabel } from '../../route/labels.ts';
import { fixed64Tag, lengthField, putUnixNanos, stringField, varintField } from './protobuf.ts';
import type { Retry } from './tracer.ts';

/** Fields of opentelemetry.proto.trace.v1.Span, Span.Event and opentelemetry.proto.common.v1.KeyValue. */
const SPAN_NAME = 5;
const SPAN_KIND = 6;
const SPAN_ATTRIBUTES = 9;
const SPAN_EVENTS = 11;
const EVENT_TIME = 1;
const EVENT_NAME = 2;
const EVENT_ATTRIBUTES = 3;
const KEY = 1;
const VALUE = 2;
const STRING_VALUE = 1;
const BOOL_VALUE = 2;
const INT_VALUE = 3;

const SERVER = 2;
const CLIENT = 3;
/** Longer values are cut: clients choose paths. */
const MAX_VALUE = 256;

/** A KeyValue message. */
export function keyValue(key: string, value: string | number | boolean): Buffer {
  const any =
    typeof value === 'string'
      ? stringField(STRING_VALUE, value.length > MAX_VALUE ? value.slice(0, MAX_VALUE) : value)
      : typeof value === 'boolean'
        ? varintField(BOOL_VALUE, value ? 1 : 0)
        : varintField(INT_VALUE, value);
  return Buffer.concat([stringField(KEY, key), lengthField(VALUE, any)]);
}

/** Attributes of a span; those without a value are left out. */
export function attributeOctets(attributes: Readonly<Record<string, string | number | boolean | undefined>>): Buffer {
  const encoded: Buffer[] = [];
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== '') encoded.push(lengthField(SPAN_ATTRIBUTES, keyValue(key, value)));
  }
  return Buffer.concat(encoded);
}

/** Name, kind and what all calls of a plan that fall to one backend have in common. */
export function planAttributes(call: EndedCall): Buffer {
  const { block, origin, plan, variant } = call;
  const { template } = block;
  const outbound = origin.direction === 'outbound';
  const grpc = template.grpc;
  // A path may be anything that a client makes up; only gRPC's is a name of few.
  const method = block.path.slice(1);
  const name = (grpc ? method : template.method).slice(0, MAX_VALUE);
  const service = plan === null ? null : plan.port.service;
  return Buffer.concat([
    stringField(SPAN_NAME, name === '' ? 'call' : name),
    varintField(SPAN_KIND, outbound ? CLIENT : SERVER),
    attributeOctets({
      'rpc.system.name': grpc ? 'grpc' : undefined,
      'rpc.method': grpc ? method : undefined,
      'http.request.method': grpc ? undefined : template.method,
      // Without the query, which may hold secrets.
      'url.path': grpc ? undefined : block.path.split('?', 1)[0],
      'url.scheme': grpc ? undefined : template.scheme,
      'server.address': service === null ? template.authority : outbound ? `${service.name}.${service.namespace}` : service.name,
      'server.port': service === null ? undefined : service.port,
      'weft.direction': origin.direction,
      'weft.service': service === null ? undefined : portLabel(service),
      'weft.route': routeLabel(plan?.rule),
      'weft.rule': ruleLabel(plan?.rule),
      'weft.backend': outbound && variant !== null ? portLabel(variant.backend.ref) : undefined,
      'weft.peer.identity': outbound ? undefined : origin.caller(),
    }),
  ]);
}

/** What all calls to an endpoint have in common. */
export function endpointAttributes({ address, port, pod, identity }: EndpointState): Buffer {
  return attributeOctets({
    'network.peer.address': address,
    'network.peer.port': port,
    'weft.pod': pod,
    'weft.peer.identity': identity,
  });
}

/** Span.Event messages, one for each attempt that another followed. */
export function retryEvents(retries: readonly Retry[], unixOffsetMs: number): Buffer {
  return Buffer.concat(
    retries.map(({ atMs, endpoint, reason }) => {
      const time = Buffer.alloc(9);
      time[0] = fixed64Tag(EVENT_TIME);
      putUnixNanos(time, 1, unixOffsetMs + atMs);
      const attributes = { 'weft.endpoint': endpoint, 'error.type': reason };
      const pairs = Object.entries(attributes).map(([key, value]) => lengthField(EVENT_ATTRIBUTES, keyValue(key, value)));
      return lengthField(SPAN_EVENTS, Buffer.concat([time, stringField(EVENT_NAME, 'retry'), ...pairs]));
    }),
  );
}
