// Namespaces whose labels say something that Weft does not understand: nothing would happen, and nobody would know why.
import { isLabelValue, LABEL_VALUES, meantLabelValue } from '#core/labels.ts';
import { LABEL_INJECT } from '#core/names.ts';
import { fieldsOf, quote } from '../translate/fields.ts';
import type { Namespace } from './types.ts';

/** One sentence for each label of Weft with a value that means nothing, with the value that was likely meant. */
export function labelMistakes(namespace: Namespace): string[] {
  const labels = fieldsOf(fieldsOf(namespace.metadata).labels);
  return Object.entries(LABEL_VALUES).flatMap(([label, values]) => {
    const value = labels[label];
    if (value === undefined || isLabelValue(label, value)) return [];
    const guess = meantLabelValue(label, String(value));
    const hint = guess === undefined ? `it can be ${values.map(quote).join(' or ')}` : `did you mean ${quote(guess)}?`;
    const effect = label === LABEL_INJECT ? 'pods are not injected' : 'pods are permissive';
    return [`label ${label} has the value ${quote(value)}, which means nothing (${effect}): ${hint}`];
  });
}
