// Old objects in, Gateway API objects out: Ingresses, and Istio's Gateways, VirtualServices and DestinationRules. Pure.
import { type Draft, objectName } from './draft.ts';
import { migrateIngresses } from './ingress.ts';
import { migrateIstioGateway } from './istio-gateway.ts';
import { type Sources, sourcesOf } from './sources.ts';
import { migrateDestinationRule, migrateVirtualService } from './virtual-service.ts';

/** Kinds that this version of Weft does nothing about, wherever they are attached. */
const NOT_SERVED = ['Gateway', 'TCPRoute', 'TLSRoute'];

export interface Migration {
  readonly drafts: readonly Draft[];
  /** Objects that are nothing to migrate, Services apart. */
  readonly others: number;
}

/**
 * @param values the documents of manifests
 * @param namespace of objects that name none
 * @param gatewayClass of new Gateways
 */
export function migrate(values: readonly unknown[], namespace: string, gatewayClass: string): Migration {
  const sources: Sources = sourcesOf(values, namespace);
  const { destinationRules, istioGateways, virtualServices, services } = sources;
  const drafts = [
    ...migrateIngresses(sources, gatewayClass),
    ...istioGateways.flatMap((gateway) => migrateIstioGateway(gateway, gatewayClass)),
    ...destinationRules.flatMap((rule) => migrateDestinationRule(rule, services)),
    ...virtualServices.flatMap((virtualService) => migrateVirtualService(virtualService, services)),
  ];
  return { drafts, others: sources.others };
}

/** For the person at the terminal: what became of what, and how much there is to read in the comments. */
export function reportOf({ drafts, others }: Migration): string {
  const lines = drafts.flatMap(({ object, from, notes }) => [
    `${from.join(', ')}: ${object === null ? 'nothing' : objectName(object)}`,
    ...notes.map(({ kind, text }) => `  ${kind}: ${text}`),
  ]);
  if (drafts.length === 0) lines.push('nothing to migrate: no Ingress, and no Gateway, VirtualService or DestinationRule of Istio');
  const kinds = new Set(drafts.flatMap(({ object }) => object?.kind ?? []));
  const unserved = NOT_SERVED.filter((kind) => kinds.has(kind));
  if (unserved.length > 0)
    lines.push(
      `this version of Weft does not serve ${unserved.join(', ')} yet, nor routes on Gateways; other implementations of the Gateway API do`,
    );
  if (others > 0) lines.push(`${others} other ${others === 1 ? 'object' : 'objects'} passed over`);
  return `${lines.join('\n')}\n`;
}
