// The verdict on a route under one parentRef, as the standard conditions (RouteConditionType of the Gateway API).

import { quote, sentence } from '#core/text/printable.ts';
import type { Condition } from '#objects/condition.ts';
import { listPorts } from '../ports.ts';
import type { Attachment } from './parents.ts';
import type { TranslatedRoute, TranslatedRule } from './rules.ts';
import type { RouteTraits } from './traits.ts';

export interface Judged {
  readonly generation: number;
  readonly routeNamespace: string;
  readonly parentNamespace: string;
  readonly hasHostnames: boolean;
  readonly failures: RouteTraits['failures'];
}

type Attached = Extract<Attachment, { readonly ports: unknown }>;

// metav1.Condition allows 32768. Long before that no one reads on, and the API server has to store it.
const LONGEST_MESSAGE = 4096;

/**
 * Accepted and ResolvedRefs always, PartiallyInvalid only where some rules can be served and others cannot (it is never
 * False). ResolvedRefs speaks of backends alone: a missing parent is not a missing backend.
 */
export function conditionsOf(attachment: Attachment, route: TranslatedRoute, judged: Judged): Condition[] {
  const condition = (type: string, status: 'True' | 'False', reason: string, message: string): Condition => ({
    type,
    status,
    reason,
    message: sentence(message, LONGEST_MESSAGE),
    observedGeneration: judged.generation,
  });
  const faulty = route.rules.filter(({ faults }) => faults.length > 0);
  const noneServed = faulty.length === route.rules.length && (faulty.length > 0 || route.faults.length > 0);
  const resolved = condition('ResolvedRefs', ...resolvedRefs(route));
  if ('fault' in attachment) return [condition('Accepted', 'False', 'NoMatchingParent', attachment.fault), resolved];
  if (attachment.ports.length === 0) return [condition('Accepted', 'False', 'Conflicted', whatIsLost(attachment)), resolved];
  // In force, but only to fail: its calls must not go where the author did not send them.
  const consequence = faulty.length === 0 ? '' : `. What such a rule is known to match fails with ${judged.failures.invalid}`;
  const wrong = `${[...route.faults.map(({ message }) => message), ...faulty.map(whatIsWrong)].join('; ')}${consequence}`;
  if (noneServed) return [condition('Accepted', 'False', (route.faults[0] ?? faulty[0].faults[0]).reason, wrong), resolved];
  const accepted = condition('Accepted', 'True', 'Accepted', acceptance(attachment, route, judged));
  if (wrong === '') return [accepted, resolved];
  // The specification wants these words in front.
  return [accepted, resolved, condition('PartiallyInvalid', 'True', 'UnsupportedValue', `Dropped Rule: ${wrong}`)];
}

function acceptance(attachment: Attached, route: TranslatedRoute, judged: Judged): string {
  const clients = judged.routeNamespace === judged.parentNamespace ? 'all clients' : `clients in namespace ${judged.routeNamespace}`;
  const notes = [`in force on ${listPorts(attachment.ports)} for ${clients}`];
  if (attachment.lost.length > 0) notes.push(whatIsLost(attachment));
  if (route.rules.length === 0) notes.push(`the route has no rules, so every call fails with ${judged.failures.unmatched}`);
  // A Service has no hostnames to compare with (GEP-1294).
  if (judged.hasHostnames) notes.push('hostnames have no meaning for a Service and are ignored');
  // The standard has no condition for what does no harm.
  return [...notes, ...route.ignored].join('; ');
}

/** "GRPCRoute shop/payment holds on port 8080 (grpc) instead": one more specific kind per port (GEP-1294). */
function whatIsLost({ lost }: Attached): string {
  const winners = [...new Set(lost.map(({ to }) => to))];
  const texts = winners.map((winner) => {
    const ports = lost.filter(({ to }) => to === winner).map(({ port }) => port);
    return `${winner} holds on ${listPorts(ports)} instead`;
  });
  return `${texts.join(', ')}: of the kinds of routes on a port the most specific one holds alone`;
}

function resolvedRefs(route: TranslatedRoute): ['True' | 'False', string, string] {
  const faults = route.rules.flatMap(({ rule, references }) =>
    references.map(({ reason, message }) => ({ reason, message: `rules[${rule.index}].${message}` })),
  );
  if (faults.length === 0) return ['True', 'ResolvedRefs', 'all backends are known'];
  return ['False', faults[0].reason, faults.map(({ message }) => message).join('; ')];
}

function whatIsWrong({ rule, faults }: TranslatedRule): string {
  const name = rule.name === '' ? '' : ` (${quote(rule.name)})`;
  return `rules[${rule.index}]${name}: ${faults.map(({ message }) => message).join(', ')}`;
}
