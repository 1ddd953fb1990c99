// The compiled form of a Service port: what a request needs hangs on these records, nothing is looked up or glued from strings per request.
// compile() makes them, match.ts finds one, forward/ carries it out. Records are immutable but for `turn` and the slots that say so.

/** Raw, ordered header list: [name, value, name, value, …], lower-case names, pseudo-headers first, values as latin1 strings (one char = one byte). */
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
  /** State of the low-discrepancy sequence that decides who is copied. */
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
  /** State of the low-discrepancy sequence that splits by weight, in [0, 1). */
  turn: number;
}

/** All that one Service port does for this workload. A new configuration is a new object: identity is the epoch of cached decisions. */
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
  readonly candidates: readonly Candidate[];
  /** Candidates (indexes, best first) by exact ":path" when both service and method are exact; others are in `general`. */
  readonly byPath: ReadonlyMap<string, readonly number[]>;
  readonly general: readonly number[];
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
  readonly test: (value: string) => boolean;
}

export interface HeaderTest {
  readonly name: string;
  readonly value: StringTest;
}
