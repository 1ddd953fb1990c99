// What HTTPRoutes have of their own.
import { Protocol, RouteKind } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { RouteTraits } from '../traits.ts';
import { servedRule } from '../unserved.ts';
import { HTTP_FILTERS } from './filters.ts';
import { translateHttpMatches } from './matches.ts';
import { translateRest } from './rest.ts';

const NAMED_VALUE = { type: true, name: true, value: true } as const;
const PATH_MODIFIER = { type: true, replaceFullPath: true, replacePrefixMatch: true } as const;

export const httpRouteTraits: RouteTraits = {
  kind: 'HTTPRoute',
  table: RouteKind.HTTP,
  speaks: 'HTTP',
  over: 'HTTP',
  // Either version: the sidecar looks at the first octets.
  protocol: Protocol.UNSPECIFIED,
  canBeOn: (protocol) => protocol !== Protocol.TCP,
  // An HTTPRoute speaks HTTP without TLS to its backends.
  foreignAppProtocols: new Set(['https', 'kubernetes.io/wss', 'tls']),
  ownHeaders: new Set(),
  failures: { unmatched: '404', invalid: '500' },
  served: servedRule({
    matches: { path: { type: true, value: true }, method: true, headers: NAMED_VALUE, queryParams: NAMED_VALUE },
    filters: {
      requestRedirect: { scheme: true, hostname: true, path: PATH_MODIFIER, port: true, statusCode: true },
      urlRewrite: { hostname: true, path: PATH_MODIFIER },
      cors: {
        allowOrigins: true,
        allowCredentials: true,
        allowMethods: true,
        allowHeaders: true,
        exposeHeaders: true,
        maxAge: true,
      },
      // A filter of that type fails its rule, which says enough.
      externalAuth: true,
    },
    rule: {
      timeouts: { request: true, backendRequest: true },
      retry: { codes: true, attempts: true, backoff: true },
    },
  }),
  filters: HTTP_FILTERS,
  translateMatches: translateHttpMatches,
  translateRest,
};
