// The answer of `weft explain` as data: what `-o json` prints, and what text.ts lays out.

export interface ExplainReport {
  readonly from: { readonly namespace: string; readonly workload: string | null };
  readonly to: { readonly service: string; readonly port: number; readonly portName: string };
  readonly call: CallReport;
  readonly result: Result;
  /** All matches of all rules in the order of precedence; empty where no route is attached. */
  readonly candidates: readonly CandidateReport[];
  readonly filters: Filters;
  readonly backends: readonly BackendReport[];
  /** Routes with this Service as a parent, and what is wrong with them. */
  readonly routes: readonly RouteVerdict[];
  /** What could not be read or used in the directory, and parentRefs that nearly name a Service. */
  readonly problems: readonly string[];
}

export interface CallReport {
  /** "package.Service/Method", or a method of HTTP. */
  readonly method: string;
  /** Of an HTTP request, with its query; absent: a gRPC call. */
  readonly path?: string;
  readonly headers: readonly (readonly [string, string])[];
}

export type Result =
  /** No route is attached to this port for this caller. */
  | { readonly kind: 'default' }
  | {
      readonly kind: 'rule';
      readonly rule: RuleName;
      readonly group: 'producer' | 'consumer';
      readonly why: string;
      readonly rest: RestReport;
    }
  /** A rule matches and cannot be served. */
  | {
      readonly kind: 'broken rule';
      readonly rule: RuleName;
      readonly group: 'producer' | 'consumer';
      readonly why: string;
      /** Of gRPC by its name, or of HTTP. */
      readonly status: string;
      readonly reason: string;
    }
  | { readonly kind: 'no match'; readonly group: 'producer' | 'consumer'; readonly status: string; readonly reason: string };

/** What else the rule says of its calls; times in ms. */
export interface RestReport {
  /** 0: none. */
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly retry: { readonly attempts: number; readonly codes: readonly number[]; readonly backoffMs: number } | null;
}

export interface RuleName {
  readonly kind: string;
  readonly namespace: string;
  readonly route: string;
  /** Position in spec.rules, from 0. */
  readonly index: number;
  readonly name: string;
}

export interface CandidateReport {
  readonly rule: RuleName;
  /** Position in the rule's matches, from 0. */
  readonly match: number;
  readonly outcome: 'wins' | 'outranked' | 'no match';
  readonly reason: string;
  readonly parts: readonly PartReport[];
}

/** One condition of a match. */
export interface PartReport {
  readonly part: string;
  readonly kind: 'exact' | 'prefix' | 'regex';
  readonly wanted: string;
  readonly got: string | null;
  readonly holds: boolean;
}

export interface Filters {
  readonly request: readonly EditReport[];
  readonly response: readonly EditReport[];
  readonly mirrors: readonly MirrorReport[];
  /** The call is answered with another place, whole as it is sent. */
  readonly redirect: { readonly status: number; readonly location: string } | null;
  /** The authority and path that the call goes on with; absent: as it came. */
  readonly rewrite: { readonly authority?: string; readonly path?: string } | null;
  readonly cors: { readonly origins: readonly string[]; readonly methods: readonly string[]; readonly credentials: boolean } | null;
}

export interface EditReport {
  readonly op: 'set' | 'add' | 'remove';
  readonly name: string;
  readonly value: string;
}

export interface MirrorReport {
  readonly service: string;
  readonly port: number;
  /** 0 to 1. */
  readonly fraction: number;
  /** Not empty: nothing is copied, and why. */
  readonly invalid: string;
}

export interface BackendReport {
  readonly service: string;
  readonly port: number;
  readonly weight: number;
  /** Of the rule's calls, 0 to 1. */
  readonly share: number;
  /** Not empty: this share fails, and why. */
  readonly invalid: string;
  /** The backend's own, run after the rule's. */
  readonly filters: Filters;
  /** Ready and not terminating. */
  readonly endpoints: readonly EndpointReport[];
  /** The endpoints are not read but made up, as if every pod of the directory ran with a sidecar. */
  readonly assumed: boolean;
}

export interface EndpointReport {
  /** null: assumed, see BackendReport. */
  readonly address: string | null;
  readonly pod: string;
  /** SPIFFE id; empty: plaintext. */
  readonly identity: string;
}

export interface RouteVerdict {
  /** "GRPCRoute shop/payment". */
  readonly route: string;
  /** As its author wrote it. */
  readonly parentRef: object;
  readonly conditions: readonly ConditionReport[];
}

export interface ConditionReport {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** Whether it says that something is wrong. */
  readonly bad: boolean;
}
