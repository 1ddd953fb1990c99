// HTTPRoute, gateway.networking.k8s.io/v1. It is read and left alone until it is served: no effect, no status.
import type { FollowedKind } from './kind.ts';
import { objectShape } from './metadata.ts';
import { GATEWAY_GROUP } from './references.ts';
import { keepRoute, matterOfRoute, type Route } from './route.ts';

export type HTTPRoute = Route;

export const httpRouteKind: FollowedKind<'HTTPRoute', HTTPRoute> = {
  kind: 'HTTPRoute',
  group: GATEWAY_GROUP,
  version: 'v1',
  plural: 'httproutes',
  namespaced: true,
  optional: true,
  notServed: true,
  shape: objectShape(),
  keep: (route, metadata) => keepRoute('HTTPRoute', route, metadata),
  matter: (route) => matterOfRoute('HTTPRoute', route),
};
