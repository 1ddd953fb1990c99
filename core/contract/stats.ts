// What GET /stats of a sidecar's admin port answers: calls by caller, Service, method, route, rule and backend,
// cumulative since the sidecar's start.

export interface StatsAnswer {
  readonly series: readonly StatsSeries[];
}

/** One series of calls. A sidecar shows those that it made as outbound, those that it took as inbound. */
export interface StatsSeries {
  readonly direction: 'outbound' | 'inbound';
  /** "<namespace>/<workload>". */
  readonly caller: string;
  /** "<namespace>/<name>:<port>". */
  readonly service: string;
  /** "<package>.<Service>/<Method>". */
  readonly method: string;
  /** "<namespace>/<name>:<port>"; empty: the call reached none. */
  readonly backend: string;
  /** "<Kind>/<namespace>/<name>"; empty: no route is attached. */
  readonly route: string;
  /** Rule of the route, its position or name; empty if there is none. */
  readonly rule: string;
  readonly mtls: boolean;
  /** gRPC status code, "0" to "16" → calls. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly count: number;
  readonly inFlight: number;
  /** Buckets that are not empty: upper bounds in ms, and calls at the same place. */
  readonly latency: { readonly boundsMs: readonly number[]; readonly counts: readonly number[] };
  /** The slowest call of about the last minute whose trace was recorded; absent: there is none. */
  readonly slow?: SeenTrace;
  /**
   * The last call whose trace was recorded and that ended with a status other than OK; `code` is its name,
   * "Unavailable".
   */
  readonly failed?: SeenTrace & { readonly code: string };
}

/** A recorded call that is worth a look. */
export interface SeenTrace {
  /** 32 hex digits. */
  readonly traceId: string;
  readonly ms: number;
  /** Unix ms. */
  readonly endedMs: number;
}
