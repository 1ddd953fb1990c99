// Namespaces whose labels say something that Weft does not understand: nothing would happen, and nobody would know why.
import { LABEL_INJECT, LABEL_MTLS } from '#core/names.ts';
import { nearest } from '#core/nearest.ts';
import { fieldsOf, quote } from '../translate/fields.ts';
import type { Namespace } from './types.ts';

const VALUES: Readonly<Record<string, readonly string[]>> = {
  [LABEL_INJECT]: ['enabled', 'disabled'],
  [LABEL_MTLS]: ['permissive', 'strict'],
};
/** What people write who come from other meshes, or think of a switch. */
const MEANT: Readonly<Record<string, string>> = {
  true: 'enabled',
  yes: 'enabled',
  on: 'enabled',
  enable: 'enabled',
  false: 'disabled',
  no: 'disabled',
  off: 'disabled',
  disable: 'disabled',
};

/** One sentence for each label of Weft with a value that means nothing, with the value that was likely meant. */
export function labelMistakes(namespace: Namespace): string[] {
  const labels = fieldsOf(fieldsOf(namespace.metadata).labels);
  return Object.entries(VALUES).flatMap(([label, values]) => {
    const value = labels[label];
    if (value === undefined || values.includes(value)) return [];
    const lower = String(value).toLowerCase();
    const guess = values.find((one) => one === lower || one === MEANT[lower]) ?? nearest(String(value), values);
    const hint = guess === undefined ? `it can be ${values.map(quote).join(' or ')}` : `did you mean ${quote(guess)}?`;
    const effect = label === LABEL_INJECT ? 'pods are not injected' : 'pods are permissive';
    return [`label ${label} has the value ${quote(value)}, which means nothing (${effect}): ${hint}`];
  });
}
