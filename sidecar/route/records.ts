// The compiled form of a Service port: what a request needs hangs on these records, nothing is looked up or glued from
// strings per request. compile() makes them, match.ts finds one, forward/ carries it out. Records are immutable but for
// `turn` and the slots that say so.

/**
 * Raw, ordered header list: [name, value, name, value, …], lower-case names, pseudo-headers first, values as latin1
 * strings (one char = one byte).
 */
export type HeaderList = readonly string[];

/** Header edits of one or more modifiers in a row, ready to apply (see edit.ts). */
export interface HeaderEdit {
  readonly op: 'set' | 'add' | 'remove';
  readonly name: string; // lower case
  readonly value: string; // latin1; '' for remove
}

export interface ServicePortRef {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** "<namespace>/<name>:<port>", made once. */
  readonly key: string;
}

export interface RouteRefRecord {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface MirrorRecord {
  readonly backend: ServicePortRef;
  /** Share of requests that are copied, 0 to 1. */
  readonly fraction: number;
  /** State of the low-discrepancy sequence that decides which calls are copied. */
  turn: number;
}

export interface BackendRecord {
  readonly ref: ServicePortRef;
  readonly weight: number;
  /** Not empty: calls that fall to this share fail with UNAVAILABLE and this reason. */
  readonly invalid: string;
  /** The rule's request edits followed by the backend's; null if there are none. */
  readonly requestEdits: readonly HeaderEdit[] | null;
  /** The backend's response edits followed by the rule's (they meet the response in that order); null if none. */
  readonly responseEdits: readonly HeaderEdit[] | null;
  /** The backend's own mirrors, beside those of the rule: only calls that fall to this backend are copied. */
  readonly mirrors: readonly MirrorRecord[];
}

export interface RuleRecord {
  /** null: no route is attached, this is the default forwarding. */
  readonly route: RouteRefRecord | null;
  readonly index: number;
  readonly name: string;
  /** Not empty: every call fails with UNAVAILABLE and this reason. */
  readonly invalid: string;
  /** Only backends of weight above 0. */
  readonly backends: readonly BackendRecord[];
  /** Running sums of the weights, same length as backends. */
  readonly cumulative: readonly number[];
  readonly totalWeight: number;
  readonly mirrors: readonly MirrorRecord[];
  /** Share of the traces begun by its calls that are recorded, 0 to 1; -1: as for other calls. */
  readonly traceSampling: number;
  /** State of the low-discrepancy sequence that splits by weight, in [0, 1). */
  turn: number;
}

/**
 * All that one Service port does for this workload. A new configuration is a new object: identity is the epoch of
 * cached decisions.
 */
export interface CompiledPort {
  readonly service: ServicePortRef;
  /** null: no route attached; `fallback` serves everything. */
  readonly table: CompiledTable | null;
  /** Default forwarding to the Service's own endpoints. */
  readonly fallback: RuleRecord;
  /** Lower-case names of headers that matches look at or filters edit: a cached decision may not ignore them. */
  readonly headersThatMatter: ReadonlySet<string>;
  /** 0 detect, 1 TCP, 2 HTTP/1, 3 HTTP/2: weft.v1.Protocol. */
  readonly protocol: number;
}

export interface CompiledTable {
  readonly kind: 'grpc' | 'http';
  readonly rules: readonly RuleRecord[];
  /**
   * Best first. The lists below hold indexes into it, ascending; every candidate stands in exactly one list of one
   * bucket.
   */
  readonly candidates: readonly Candidate[];
  /** By exact ":path": service and method are exact. */
  readonly byPath: ReadonlyMap<string, Bucket>;
  /** By exact service: the method is absent or a regular expression. */
  readonly byService: ReadonlyMap<string, Bucket>;
  /** By exact method: the service is absent or a regular expression. */
  readonly byMethod: ReadonlyMap<string, Bucket>;
  readonly general: Bucket;
}

/**
 * Candidates that share a key of the path; long buckets are split once more, by one of the headers that a match
 * demands.
 */
export interface Bucket {
  readonly plain: readonly number[];
  /** Header name, then exact value (latin1); null where the bucket is short. */
  readonly byHeader: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>> | null;
}

export interface Candidate {
  readonly rule: RuleRecord;
  readonly matchIndex: number;
  readonly service: StringTest | null;
  readonly method: StringTest | null;
  readonly headers: readonly HeaderTest[];
}

export interface StringTest {
  readonly kind: 'exact' | 'regex';
  readonly pattern: string;
  /** What an exact test compares with, as octets in a latin1 string; null for a regular expression. */
  readonly octets: string | null;
  readonly test: (value: string) => boolean;
}

export interface HeaderTest {
  readonly name: string;
  readonly value: StringTest;
}
