// What a sidecar's GET /stats answers: `{"series": [StatsSeries, …]}`, cumulative since the sidecar's start. `weft run`
// reads it.

/** One series of calls, by all that they are counted by. */
export interface StatsSeries {
  readonly direction: 'outbound' | 'inbound';
  /** Outbound: this workload, "<namespace>/<name>". Inbound: the peer's SPIFFE id, '' for plaintext. */
  readonly caller: string;
  /** "<namespace>/<name>:<port>". */
  readonly service: string;
  /** "<Kind>/<namespace>/<name>"; '' without a route. */
  readonly route: string;
  /** Name of the route's rule, or its number; '' without a route. */
  readonly rule: string;
  /** "<package>.<Service>/<Method>", or "other". */
  readonly method: string;
  /** "<namespace>/<name>:<port>"; '': the call reached none. */
  readonly backend: string;
  readonly mtls: boolean;
  /** gRPC status, "0" to "16" → calls. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly count: number;
  readonly inFlight: number;
  /** Upper bounds in ms, and the calls in each bucket; empty buckets are left out. */
  readonly latency: { readonly boundsMs: readonly number[]; readonly counts: readonly number[] };
  /** The slowest call of about the last minute whose trace was recorded; absent: there is none. */
  readonly slow?: StatsCall;
  /** The last call whose trace was recorded and that ended with a status other than OK; `code` is the status's name. */
  readonly failed?: StatsCall & { readonly code: string };
}

/** A recorded call. */
export interface StatsCall {
  /** 32 hex digits. */
  readonly traceId: string;
  readonly ms: number;
  /** Unix ms. */
  readonly endedMs: number;
}
