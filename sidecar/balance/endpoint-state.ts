// What a sidecar knows of one endpoint: the record that the balancer reads and the pool hangs its connections on.
import type { Endpoint } from '#core/contract/gen/weft/v1/mesh_pb.ts';

/**
 * One endpoint of a backend. Only the balancer's functions write its fields; `connections` is the pool's.
 * All fields are there from the start, so that every record has one hidden class.
 */
export interface EndpointState {
  /** "<address>:<port>", IPv6 addresses in brackets. */
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** SPIFFE id that the endpoint's certificate must carry; '': plaintext. */
  readonly identity: string;
  /** "<namespace>/<name>", for people. */
  readonly pod: string;
  readonly zone: string;
  /** The pool's slot. */
  connections: unknown;
  /** false from the moment that the endpoint has left the set: open no more calls on it. */
  listed: boolean;
  /** Calls on their way. */
  inFlight: number;
  /** Smoothed latency in ms, as of `ewmaAtMs`. */
  ewmaMs: number;
  ewmaAtMs: number;
  consecutiveFailures: number;
  ejected: boolean;
  /** End of the current or the last ejection; 0: never ejected. */
  ejectedUntilMs: number;
  /** Ejections in a row, which double their length. */
  ejections: number;
  /** The last ejection followed a failed connect. */
  unreachable: boolean;
}

/** The name under which an endpoint keeps its state over updates. */
export function endpointKey({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A fresh record. `ewmaMs` is the set's mean, so that a new endpoint is neither flooded nor starved. */
export function newEndpointState(endpoint: Endpoint, ewmaMs: number, nowMs: number): EndpointState {
  return {
    key: endpointKey(endpoint),
    address: endpoint.address,
    port: endpoint.port,
    identity: endpoint.identity,
    pod: endpoint.pod,
    zone: endpoint.zone,
    connections: null,
    listed: true,
    inFlight: 0,
    ewmaMs,
    ewmaAtMs: nowMs,
    consecutiveFailures: 0,
    ejected: false,
    ejectedUntilMs: 0,
    ejections: 0,
    unreachable: false,
  };
}

/** Whether a record still stands for the endpoint: another pod or identity on a reused address is another endpoint. */
export function isSameEndpoint(state: EndpointState, endpoint: Endpoint): boolean {
  return state.identity === endpoint.identity && state.pod === endpoint.pod;
}
