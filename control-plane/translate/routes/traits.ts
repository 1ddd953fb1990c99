// What a kind of route has of its own. All else about routes is the same for every kind, and knows a kind by these
// traits alone.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Filter, MatchSchema, Protocol, RouteKind, RuleSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { RouteKindName } from '#objects/kinds.ts';
import type { RouteFilter, RouteRule } from '#objects/route.ts';
import type { ObjectView } from '../../store/object-store.ts';
import type { Findings } from './findings.ts';
import type { ServedFields } from './unserved.ts';

export interface RouteTraits {
  readonly kind: RouteKindName;
  /** The kind of its tables on the wire. */
  readonly table: RouteKind;
  /** What such a route routes, for messages: "gRPC". */
  readonly speaks: string;
  /** What that is spoken over, for messages: "HTTP/2". */
  readonly over: string;
  /** The protocol of a port that declares none and has such a route. */
  readonly protocol: Protocol;
  /** Whether a port that declares this protocol can have such a route. */
  canBeOn(protocol: Protocol): boolean;
  /** appProtocols of backends, lower case, that declare what such a route cannot speak to (GEP-1911). */
  readonly foreignAppProtocols: ReadonlySet<string>;
  /** Headers of the protocol itself, lower case: no filter may edit them. */
  readonly ownHeaders: ReadonlySet<string>;
  /**
   * What calls fail with, for messages: `unmatched` where no rule matches, `invalid` where the rule cannot be served.
   */
  readonly failures: { readonly unmatched: string; readonly invalid: string };
  /** The fields of its rules that are served; others are named in the status. */
  readonly served: ServedFields;
  /** By type, in the order in which messages list them. */
  readonly filters: Readonly<Record<string, FilterTraits>>;
  /**
   * The matches of a rule that can be understood. A rule without matches matches every call.
   * @param most how many are read
   */
  translateMatches(matches: unknown, findings: Findings, most: number): RuleMatch[];
  /** What else its rules say, with the faults of their parts together; absent: nothing. */
  translateRest?(rule: RouteRule, findings: Findings): RestOfRule;
}

/** The fields of a rule on the wire that a kind fills beside those of every kind. */
export type RestOfRule = Pick<
  Exclude<MessageInitShape<typeof RuleSchema>, { $typeName: string }>,
  'requestTimeoutMs' | 'backendTimeoutMs' | 'retry'
>;

/** One match, not yet in a table. */
export interface RuleMatch {
  /** Position in the rule's matches; 0 for the one that stands for none. */
  readonly index: number;
  /**
   * How much it pins down. In a table the greater comes first, compared number by number; all of one kind have as many.
   */
  readonly rank: readonly number[];
  /** As it is sent, but for its place. */
  readonly match: Omit<Exclude<MessageInitShape<typeof MatchSchema>, { $typeName: string }>, 'rule' | 'index'>;
}

export interface FilterTraits {
  /** The field that configures it. */
  readonly field: keyof RouteFilter;
  /** Undefined: the field is no map. What else is wrong with it goes to `findings`. */
  translate(filter: RouteFilter, where: string, context: FilterContext, findings: Findings): Filter | undefined;
}

/** What the filters of one rule are judged by. */
export interface FilterContext extends RouteContext {
  readonly rule: RouteRule;
}

/** What the rules of one route under one parent are judged by. */
export interface RouteContext {
  readonly traits: RouteTraits;
  readonly objects: ObjectView;
  readonly routeNamespace: string;
  /** The parent Service's. */
  readonly parentNamespace: string;
  readonly strictReferenceGrants: boolean;
}
