// The metadata of objects of every kind: what is kept of it, and its form in files.
import { liveAnnotationKeys } from '#core/contract/annotations.ts';
import type { ObjectMeta } from '#kube/object.ts';
import { readAnnotations } from './annotations.ts';
import { fieldsOf, isMap } from './fields.ts';
import { fields, name, type Shape, text, textMap } from './shape.ts';

/** Name and namespace alone. */
export function named({ name, namespace }: Partial<ObjectMeta>): ObjectMeta {
  return { name, namespace } as ObjectMeta;
}

/** Those of the labels or annotations that have these names; undefined: none has. */
export function some(values: Record<string, string> | undefined, names: readonly string[]): Record<string, string> | undefined {
  const found = names.filter((name) => fieldsOf(values)[name] !== undefined).map((name) => [name, values![name]!]);
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** The fields that are there: a null is an absent field. */
export function present<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)) as T;
}

/**
 * A map of text. Those of Weft's annotations whose mistakes would show nowhere else are read as the sidecars will read
 * them.
 */
const annotations: Shape = (value, path, report) => {
  textMap(value, path, report);
  for (const key of liveAnnotationKeys()) {
    const text = isMap(value) ? value[key] : undefined;
    if (typeof text !== 'string') continue;
    const { mistakes } = readAnnotations({ metadata: { annotations: { [key]: text } } });
    for (const message of mistakes) report({ path: [...path, key], message, notice: true });
  }
};

/** The metadata of a pod template: it has no name of its own. */
export const templateMetadataShape = fields({ labels: textMap, annotations });

const metadata = fields({ name, namespace: text, labels: textMap, annotations, creationTimestamp: text, uid: text }, ['name']);

/** An object with these fields beside its metadata. */
export function objectShape(rest: Readonly<Record<string, Shape>> = {}): Shape {
  return fields({ metadata, ...rest }, ['metadata']);
}
