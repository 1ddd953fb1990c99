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

/** What becomes of a path. */
export type PathChangeRecord =
  | { readonly kind: 'full'; readonly path: string }
  /** Neither has a slash at its end; '' stands for "/". */
  | { readonly kind: 'prefix'; readonly matched: string; readonly replacement: string };

/** A call is answered with another place (see redirect.ts). Empty parts are the request's own. */
export interface RedirectRecord {
  readonly scheme: string;
  readonly hostname: string;
  readonly path: PathChangeRecord | null;
  /** 0: that of the scheme, or the Service's. */
  readonly port: number;
  readonly status: number;
  /** The edits that the answer gets as those of endpoints do; null if none. */
  readonly responseEdits: readonly HeaderEdit[] | null;
}

export interface RewriteRecord {
  /** '': as it came. */
  readonly hostname: string;
  readonly path: PathChangeRecord | null;
}

/** Which origins may use the answers (see cors.ts). */
export interface CorsRecord {
  /** Any origin. */
  readonly anyOrigin: boolean;
  readonly origins: readonly StringTest[];
  readonly credentials: boolean;
  /** null: any. */
  readonly methods: readonly string[] | null;
  /** Lower case; null: any. */
  readonly headers: readonly string[] | null;
  /** As the header has it, '*' or a list; '': none. */
  readonly expose: string;
  readonly maxAgeSeconds: number;
}

/** What is tried again beside what surely was not processed. */
export interface RetryRecord {
  /** After the first one. */
  readonly attempts: number;
  readonly codes: ReadonlySet<number>;
  /** 0: our own. */
  readonly backoffMs: number;
}

export interface BackendRecord {
  readonly ref: ServicePortRef;
  readonly weight: number;
  /** Not empty: calls that fall to this share fail with UNAVAILABLE (500 for other calls than gRPC's) and this reason. */
  readonly invalid: string;
  /** The rule's request edits followed by the backend's; null if there are none. */
  readonly requestEdits: readonly HeaderEdit[] | null;
  /** The backend's response edits followed by the rule's (they meet the response in that order); null if none. */
  readonly responseEdits: readonly HeaderEdit[] | null;
  /** The backend's own mirrors, beside those of the rule: only calls that fall to this backend are copied. */
  readonly mirrors: readonly MirrorRecord[];
  /** Of the backend or its rule, as the next two; null: none. */
  readonly rewrite: RewriteRecord | null;
  readonly redirect: RedirectRecord | null;
  readonly cors: CorsRecord | null;
}

export interface RuleRecord {
  /** null: no route is attached, this is the default forwarding. */
  readonly route: RouteRefRecord | null;
  readonly index: number;
  readonly name: string;
  /** Not empty: every call fails with UNAVAILABLE (500 for other calls than gRPC's) and this reason. */
  readonly invalid: string;
  /** Every call is answered so, and there are no backends; null: the backends serve. */
  readonly redirect: RedirectRecord | null;
  /** Of a rule that redirects; that of others is with their backends. */
  readonly cors: CorsRecord | null;
  /** Of the whole call, and of each attempt; 0: none. */
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly retry: RetryRecord | null;
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

export type CompiledTable = GrpcTable | HttpTable;

interface TableOfAnyKind {
  readonly rules: readonly RuleRecord[];
  /**
   * Best first. The buckets hold indexes into it, ascending; every candidate stands in exactly one list of one bucket.
   */
  readonly candidates: readonly Candidate[];
  /** Candidates that stand in no other bucket. */
  readonly general: Bucket;
}

export interface GrpcTable extends TableOfAnyKind {
  readonly kind: 'grpc';
  /** By exact ":path": service and method are exact. */
  readonly byPath: ReadonlyMap<string, Bucket>;
  /** By exact service: the method is absent or a regular expression. */
  readonly byService: ReadonlyMap<string, Bucket>;
  /** By exact method: the service is absent or a regular expression. */
  readonly byMethod: ReadonlyMap<string, Bucket>;
}

export interface HttpTable extends TableOfAnyKind {
  readonly kind: 'http';
  /** By exact path. */
  readonly byPath: ReadonlyMap<string, Bucket>;
  /** By prefix, without a slash at its end; never "/". */
  readonly byPrefix: ReadonlyMap<string, Bucket>;
  /** The lengths of these prefixes, each once: no other is looked up. */
  readonly prefixLengths: readonly number[];
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
  readonly target: CallTarget | RequestTarget;
  readonly headers: readonly HeaderTest[];
}

/** What a GRPCRoute asks of a call beside headers. */
export interface CallTarget {
  readonly kind: 'grpc';
  readonly service: StringTest | null;
  readonly method: StringTest | null;
}

/** What an HTTPRoute asks of a request beside headers. */
export interface RequestTarget {
  readonly kind: 'http';
  /** null: any. */
  readonly path: PathTest | null;
  /** '': any. */
  readonly method: string;
  readonly query: readonly QueryTest[];
}

export interface PathTest {
  readonly kind: 'exact' | 'prefix' | 'regex';
  /** As it is written. */
  readonly pattern: string;
  /** What an exact test compares with; of a prefix without a slash at its end; null for a regular expression. */
  readonly octets: string | null;
  /** @param path without its query */
  readonly test: (path: string) => boolean;
}

export interface QueryTest {
  readonly name: string;
  readonly value: StringTest;
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
