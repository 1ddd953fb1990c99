// The answer of `weft explain` as data: what `-o json` prints, and what text.ts lays out.

export interface ExplainReport {
  readonly from: { readonly namespace: string; readonly workload: string | null };
  readonly to: { readonly service: string; readonly port: number; readonly portName: string };
  readonly call: { readonly method: string; readonly headers: readonly (readonly [string, string])[] };
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

export type Result =
  /** No route is attached to this port for this caller. */
  | { readonly kind: 'default' }
  | { readonly kind: 'rule'; readonly rule: RuleName; readonly group: 'producer' | 'consumer'; readonly why: string }
  /** A rule matches and cannot be served. */
  | {
      readonly kind: 'broken rule';
      readonly rule: RuleName;
      readonly group: 'producer' | 'consumer';
      readonly why: string;
      readonly grpcStatus: string;
      readonly reason: string;
    }
  | { readonly kind: 'no match'; readonly group: 'producer' | 'consumer'; readonly grpcStatus: string; readonly reason: string };

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
  readonly kind: 'exact' | 'regex';
  readonly wanted: string;
  readonly got: string | null;
  readonly holds: boolean;
}

export interface Filters {
  readonly request: readonly EditReport[];
  readonly response: readonly EditReport[];
  readonly mirrors: readonly MirrorReport[];
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
  /** Not empty: this share fails with UNAVAILABLE, and why. */
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
