// HTTPRoute, gateway.networking.k8s.io/v1.
import type { FollowedKind } from './kind.ts';
import { GATEWAY_GROUP } from './references.ts';
import {
  filterFields,
  headerMatchShape,
  keepRoute,
  matterOfRoute,
  namesOfRoute,
  type Route,
  type RouteHeaderMatch,
  type RouteRule,
  routeShape,
  touchParents,
} from './route.ts';
import { allFields, flag, INT32, integer, list, portNumber, type Shape, text } from './shape.ts';

export interface HTTPRoute extends Route {
  spec?: Omit<NonNullable<Route['spec']>, 'rules'> & { rules?: HTTPRouteRule[] };
}

export interface HTTPRouteRule extends RouteRule {
  matches?: HTTPRouteMatch[];
  /** Durations (GEP-2257), such as 1h30m. "0s": none. */
  timeouts?: { request?: string; backendRequest?: string };
  retry?: HTTPRouteRetry;
}

export interface HTTPRouteRetry {
  /** 400 to 599. */
  codes?: number[];
  /** After the first one; absent: 1. */
  attempts?: number;
  /** A duration. */
  backoff?: string;
}

export interface HTTPRouteMatch {
  path?: {
    /** Exact, PathPrefix (also when absent) or RegularExpression. */
    type?: string;
    /** Absent: "/". */
    value?: string;
  };
  headers?: RouteHeaderMatch[];
  queryParams?: RouteHeaderMatch[];
  method?: string;
}

const match = allFields({
  path: allFields({ type: text, value: text }),
  headers: list(headerMatchShape),
  queryParams: list(headerMatchShape),
  method: text,
});

const pathModifier = allFields({ type: text, replaceFullPath: text, replacePrefixMatch: text }, ['type']);

const httpFilterFields: Readonly<Record<string, Shape>> = {
  ...filterFields,
  requestRedirect: allFields({
    scheme: text,
    hostname: text,
    path: pathModifier,
    port: portNumber,
    statusCode: integer(300, 399),
  }),
  urlRewrite: allFields({ hostname: text, path: pathModifier }),
  cors: allFields({
    allowOrigins: list(text),
    allowCredentials: flag,
    allowMethods: list(text),
    allowHeaders: list(text),
    exposeHeaders: list(text),
    maxAge: integer(1, INT32),
  }),
};

const rule: Readonly<Record<string, Shape>> = {
  timeouts: allFields({ request: text, backendRequest: text }),
  retry: allFields({ codes: list(integer(400, 599)), attempts: integer(0, INT32), backoff: text }),
};

export const httpRouteKind: FollowedKind<'HTTPRoute', HTTPRoute> = {
  kind: 'HTTPRoute',
  group: GATEWAY_GROUP,
  version: 'v1',
  plural: 'httproutes',
  namespaced: true,
  optional: false,
  shape: routeShape(match, allFields(httpFilterFields, ['type'], ['externalAuth']), rule),
  keep: (route, metadata) => keepRoute('HTTPRoute', route, metadata) as HTTPRoute,
  matter: (route) => matterOfRoute('HTTPRoute', route),
  names: namesOfRoute,
  touch: touchParents,
  statuses: 'routes',
};
