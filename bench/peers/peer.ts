// What a proxy under test has to offer: find itself, and start for a piece of work.
import type { Authority } from '#certs/authority.ts';
import type { Measured } from '../processes.ts';

/**
 * 'plain' and 'mtls': one proxy towards the backends. 'pair': a client-side and a server-side proxy with mTLS between.
 */
export type Scenario = 'plain' | 'mtls' | 'pair';

/** What the load speaks: gRPC over HTTP/2, requests of HTTP/1.1, or anything, in octets. */
export type Protocol = 'grpc' | 'http1' | 'tcp';

/** What share of the calls is traced, and where spans go: the port of a server for OTLP over HTTP. */
export interface Tracing {
  readonly share: number;
  readonly port: number;
}

/** What the proxies do in a scenario. */
export interface Work {
  readonly scenario: Scenario;
  readonly protocol: Protocol;
  /** Where the two backends listen; with 'mtls' TLS is terminated there. */
  readonly backendPorts: readonly [number, number];
  /** Paths of the eight methods that routes name, and the one that the load calls. */
  readonly methods: readonly string[];
  readonly path: string;
  readonly certificates: Certificates;
  /** The authority that signed them. */
  readonly authority: Authority;
  /** Absent: off. */
  readonly tracing?: Tracing;
  /** CPU core of the proxies. */
  readonly core: number;
  /** Directory for configuration files of this run. */
  readonly directory: string;
}

export interface Certificates {
  readonly key: string;
  readonly certificate: string;
  readonly roots: string;
  readonly identity: string;
  /** Certificate and key in one file, as HAProxy wants it. */
  readonly bundle: string;
}

export interface Running {
  readonly host: string;
  readonly port: number;
  /** Client side first. */
  readonly programs: readonly Measured[];
  /** Spans that the proxies say they dropped; absent where they do not tell. */
  droppedSpans?(): Promise<number>;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly scenarios: readonly Scenario[];
  readonly protocols: readonly Protocol[];
  /** What is needed and missing, with the command that installs it; '' if all is there. */
  missing(): string;
  version(): string;
  start(work: Work): Promise<Running>;
}
