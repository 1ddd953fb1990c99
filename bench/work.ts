// What every proxy is asked to do: the shapes of load, the methods of the route, the call and its message.
import type { Shape } from './load.ts';

export const SHAPES: readonly Shape[] = [
  { connections: 4, streams: 50 },
  { connections: 32, streams: 1 },
  { connections: 1, streams: 1 },
  { connections: 4, streams: 50, headers: 'realistic' },
  { connections: 32, streams: 1, headers: 'realistic' },
  { connections: 1, streams: 1, headers: 'realistic' },
  { connections: 4, streams: 50, headers: '1000 users' },
];

/** The eight methods that the GRPCRoute names; the load calls the last. */
export const METHODS = ['Authorize', 'Capture', 'Refund', 'Void', 'Quote', 'History', 'Balance', 'Charge'].map(
  (name) => `/bench.PaymentService/${name}`,
);
export const LOAD_PATH = METHODS[METHODS.length - 1];

/** A gRPC message of 95 octets behind its prefix. */
export const LOAD_BODY = Buffer.concat([Buffer.from([0, 0, 0, 0, 95]), Buffer.alloc(95)]);

/** Warm-up of a proxy's first measurement of a shape, and of later ones, in seconds. */
export const FIRST_WARM_SECONDS = 2;
export const WARM_SECONDS = 0.5;

export const PROXY_CORE = 0;
export const LOAD_CORE = 1;
