// Labels and annotations of namespaces that mean nothing to Weft: without a word nothing would happen, and the reason
// would be hard to find.
import { isLabelValue, LABEL_VALUES, meantLabelValue } from '#core/contract/labels.ts';
import { LABEL_INJECT } from '#core/contract/names.ts';
import { quote } from '#core/text/printable.ts';
import { readAnnotations } from '#objects/annotations.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { Namespace } from '#objects/namespace.ts';

/** For an Event on the namespace. */
export interface NamespaceMistake {
  readonly reason: 'UnusableLabel' | 'UnusableAnnotation';
  readonly message: string;
}

/**
 * One sentence for each label and annotation of Weft with a value that means nothing, with the value that was likely
 * meant.
 */
export function namespaceMistakes(namespace: Namespace): NamespaceMistake[] {
  const labels = fieldsOf(fieldsOf(namespace.metadata).labels);
  const ofLabels = Object.entries(LABEL_VALUES).flatMap(([label, values]): NamespaceMistake[] => {
    const value = labels[label];
    if (value === undefined || isLabelValue(label, value)) return [];
    const guess = meantLabelValue(label, String(value));
    const hint = guess === undefined ? `it can be ${values.map(quote).join(' or ')}` : `did you mean ${quote(guess)}?`;
    const effect = label === LABEL_INJECT ? 'pods are not injected' : 'pods are permissive';
    return [{ reason: 'UnusableLabel', message: `label ${label} has the value ${quote(value)}, which means nothing (${effect}): ${hint}` }];
  });
  const { mistakes } = readAnnotations(namespace);
  return [...ofLabels, ...mistakes.map((message) => ({ reason: 'UnusableAnnotation' as const, message }))];
}
