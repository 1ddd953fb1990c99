// The kinds of routes that are translated, and which of them holds where several are attached to one Service port.
import { ROUTE_KIND_NAMES, type RouteKindName } from '#objects/kinds.ts';
import type { MeshPort } from '../ports.ts';
import { grpcRouteTraits } from './grpc/traits.ts';
import { httpRouteTraits } from './http/traits.ts';
import type { Attachment } from './parents.ts';
import type { RouteTraits } from './traits.ts';

const TRAITS: Readonly<Record<RouteKindName, RouteTraits>> = { GRPCRoute: grpcRouteTraits, HTTPRoute: httpRouteTraits };

/** The more specific kind first: where several are attached, it alone holds (GEP-1294, "Route types"). */
export const ROUTE_KINDS: readonly RouteTraits[] = ROUTE_KIND_NAMES.map((name) => TRAITS[name]);

/** A route as the choice between kinds needs it. */
export interface Contender {
  readonly traits: RouteTraits;
  /** "namespace/name". */
  readonly key: string;
  /** Routes of one namespace are one group: groups replace each other and never meet. */
  readonly namespace: string;
  /** Numbers of the ports that it is attached to. */
  readonly ports: ReadonlySet<number>;
}

/** Ports on which a route of another kind holds instead, with the name of such a route. */
export type LostPorts = ReadonlyMap<number, string>;

/** For each route the ports that it loses, by the route. @param routes in the order in which they are named */
export function lostPorts<T extends Contender>(routes: readonly T[]): ReadonlyMap<T, LostPorts> {
  const best = new Map<string, T>();
  const place = ({ namespace }: T, port: number): string => `${namespace} ${port}`;
  for (const route of routes) {
    for (const port of route.ports) {
      const other = best.get(place(route, port));
      if (other === undefined || rankOf(route) < rankOf(other)) best.set(place(route, port), route);
    }
  }
  return new Map(
    routes.map((route) => {
      const lost = new Map<number, string>();
      for (const port of route.ports) {
        const { traits, key } = best.get(place(route, port))!;
        if (traits !== route.traits) lost.set(port, `${traits.kind} ${key}`);
      }
      return [route, lost];
    }),
  );
}

/** What is left of an attachment without the ports that are lost. */
export function withoutLost(attachment: Attachment, lost: LostPorts): Attachment {
  if ('fault' in attachment || lost.size === 0) return attachment;
  const held: MeshPort[] = [];
  const gone: { port: MeshPort; to: string }[] = [];
  for (const port of attachment.ports) {
    const to = lost.get(port.port);
    if (to === undefined) held.push(port);
    else gone.push({ port, to });
  }
  return { ports: held, lost: gone };
}

function rankOf({ traits }: Contender): number {
  return ROUTE_KINDS.indexOf(traits);
}
