// What a sidecar knows of one endpoint: the record that the balancer reads and the pool hangs its connections on.
import type { Endpoint } from '#core/contract/gen/weft/v1/mesh_pb.ts';

/** What the balancer has to know of an endpoint: where it runs has been looked at (topology.ts). */
export type UsedEndpoint = Pick<Endpoint, '$typeName' | 'address' | 'port' | 'identity' | 'pod' | 'zone'>;

/**
 * One endpoint of a backend. Only the balancer's functions write its fields; `connections` and `http1Connections` are the pools'.
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
  /** The slots of its pools: for HTTP/2, and for calls that go to it as HTTP/1.1. */
  connections: unknown;
  http1Connections: unknown;
  /** false from the moment that the endpoint has left the set: open no more calls on it. */
  listed: boolean;
  /** Calls that wait for their answer to begin. */
  inFlight: number;
  /** Calls whose answer has begun and not ended. */
  streams: number;
  /** Load of those by what they move, in calls (load.ts), as of `settledAtMs`; octets moved since then. */
  traffic: number;
  octets: number;
  settledAtMs: number;
  /** When an answer last began. */
  answeredAtMs: number;
  /** Smoothed latency in ms, as of `ewmaAtMs`. */
  ewmaMs: number;
  ewmaAtMs: number;
  /** Failed calls since the last that did not; one that says little of this endpoint counts in part. */
  consecutiveFailures: number;
  /** When a connection was last lost, and when a refusal was last counted. */
  lostAtMs: number;
  refusedAtMs: number;
  /** It gets no calls, and after `ejectedUntilMs` one now and then, until one is answered. */
  ejected: boolean;
  /** End of the current or the last ejection; 0: never ejected. */
  ejectedUntilMs: number;
  /** When it last got a call on probation. */
  probedAtMs: number;
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
export function newEndpointState(endpoint: UsedEndpoint, ewmaMs: number, nowMs: number): EndpointState {
  return {
    key: endpointKey(endpoint),
    address: endpoint.address,
    port: endpoint.port,
    identity: endpoint.identity,
    pod: endpoint.pod,
    zone: endpoint.zone,
    connections: null,
    http1Connections: null,
    listed: true,
    inFlight: 0,
    streams: 0,
    traffic: 0,
    octets: 0,
    settledAtMs: nowMs,
    answeredAtMs: Number.NEGATIVE_INFINITY,
    ewmaMs,
    ewmaAtMs: nowMs,
    consecutiveFailures: 0,
    lostAtMs: -1,
    refusedAtMs: Number.NEGATIVE_INFINITY,
    ejected: false,
    ejectedUntilMs: 0,
    probedAtMs: Number.NEGATIVE_INFINITY,
    ejections: 0,
    unreachable: false,
  };
}

/** Whether a record still stands for the endpoint: another pod or identity on a reused address is another endpoint. */
export function isSameEndpoint(state: EndpointState, endpoint: UsedEndpoint): boolean {
  return state.identity === endpoint.identity && state.pod === endpoint.pod;
}
