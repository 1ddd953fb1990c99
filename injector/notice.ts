// What an Event says of a pod and its sidecar. Pure: the same words for a review and for the object that is read to
// verify it.
import { quote, sentence } from '#core/text/printable.ts';
import type { InjectionSettings } from './containers.ts';
import { decide, type NamespaceFacts } from './decide.ts';
import { inject } from './inject.ts';
import type { NamespaceLimits } from './limits.ts';
import type { InjectablePod } from './pod.ts';

/** A limit of the API. */
const LONGEST_MESSAGE = 1024;
/** An RFC 1123 subdomain, and what generateName makes one of. */
const POD_NAME = /^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?-?\*?$/;

export interface Notice {
  readonly type: 'Warning';
  readonly reason: 'InjectionRefused' | 'InjectionSkipped' | 'InjectionWarning';
  readonly message: string;
}

/** A notice about this pod. `text` is for people; names and values in it are spelt out, and it is cut to what an Event holds. */
export function notice(reason: Notice['reason'], pod: InjectablePod, text: string): Notice {
  const name = nameOf(pod);
  return { type: 'Warning', reason, message: sentence(`pod ${POD_NAME.test(name) ? name : quote(name)}: ${text}`, LONGEST_MESSAGE) };
}

/**
 * What an Event must say of this pod; undefined: nothing.
 * @param limits those of its namespace
 */
export function noticeOf(
  pod: InjectablePod,
  namespace: NamespaceFacts,
  settings: InjectionSettings | string,
  limits: NamespaceLimits,
): Notice | undefined {
  const decision = decide(pod, namespace);
  if ('deny' in decision) return notice('InjectionRefused', pod, decision.deny);
  if (!decision.inject) return decision.event ? notice('InjectionSkipped', pod, decision.message) : undefined;
  if (typeof settings === 'string') return undefined;
  const { warnings } = inject(pod, namespace, settings, { hookToken: '', limits });
  return warnings.length === 0 ? undefined : notice('InjectionWarning', pod, warnings.join('; '));
}

/** Its name, or what one is made of. */
export function nameOf(pod: InjectablePod): string {
  return pod.metadata?.name ?? `${pod.metadata?.generateName ?? ''}*`;
}
