// GRPCRoute, gateway.networking.k8s.io/v1.
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
import { allFields, list, text } from './shape.ts';

export interface GRPCRoute extends Route {
  spec?: Omit<NonNullable<Route['spec']>, 'rules'> & { rules?: GRPCRouteRule[] };
}

export interface GRPCRouteRule extends RouteRule {
  matches?: GRPCRouteMatch[];
}

export interface GRPCRouteMatch {
  method?: {
    /** Exact (also when absent) or RegularExpression. */
    type?: string;
    service?: string;
    method?: string;
  };
  headers?: RouteHeaderMatch[];
}

const match = allFields({ method: allFields({ type: text, service: text, method: text }), headers: list(headerMatchShape) });

export const grpcRouteKind: FollowedKind<'GRPCRoute', GRPCRoute> = {
  kind: 'GRPCRoute',
  group: GATEWAY_GROUP,
  version: 'v1',
  plural: 'grpcroutes',
  namespaced: true,
  optional: false,
  shape: routeShape(match, allFields(filterFields, ['type'])),
  keep: (route, metadata) => keepRoute('GRPCRoute', route, metadata) as GRPCRoute,
  matter: (route) => matterOfRoute('GRPCRoute', route),
  names: namesOfRoute,
  touch: touchParents,
  statuses: 'routes',
};
