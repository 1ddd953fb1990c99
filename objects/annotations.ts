// The annotations that sidecars follow as they change: what a pod reports of its calls. A value that cannot be used is
// as if it were not there. Pure.
import { type Annotation, LIVE_ANNOTATIONS, type LiveValues } from '#core/contract/annotations.ts';
import { printable, quote, sentence } from '#core/text/printable.ts';
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf } from './fields.ts';

/** Of a mistake: it quotes what may be 512 characters. */
const LONGEST_MISTAKE = 400;

/** What the live annotations of one object say. */
export interface FoundAnnotations extends LiveValues {
  /** One sentence for each value that is not taken, with the nearest valid form. */
  readonly mistakes: readonly string[];
}

/**
 * Reads the live annotations of an object that mean something on its kind (without a kind: all), whatever stands in
 * them.
 */
export function readAnnotations(object: KubeObject | undefined): FoundAnnotations {
  const annotations = fieldsOf(fieldsOf(object?.metadata).annotations);
  const mistakes: string[] = [];
  const kind = object?.kind;
  const value = <T>({ key, on, read }: Annotation<T>): T | undefined => {
    const text: unknown = annotations[key];
    if (text === undefined || text === null || (kind !== undefined && !on.includes(kind))) return undefined;
    try {
      if (typeof text !== 'string') throw new RangeError('it must be text');
      return read(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      mistakes.push(sentence(`annotation ${key}: ${quote(text)} is ignored: ${error.message}`, LONGEST_MISTAKE));
      return undefined;
    }
  };
  const values = Object.fromEntries(Object.entries(LIVE_ANNOTATIONS).map(([name, live]) => [name, value<string | number>(live)]));
  return { ...(values as unknown as LiveValues), mistakes };
}

/** Problems that are listed; of a thousand more no one reads each. */
const MOST_LISTED = 20;

/**
 * What cannot be used of the annotations of these objects, for people. The pods of a namespace that make the same
 * mistake, as those of a Deployment do, are one sentence.
 */
export function annotationProblems(objects: Iterable<KubeObject>): string[] {
  const found = new Map<string, { title: string; mistake: string; more: number }>();
  for (const object of objects) {
    const { mistakes } = readAnnotations(object);
    for (const mistake of mistakes) {
      const { namespace, name } = fieldsOf(object.metadata);
      const key = `${object.kind} ${namespace ?? ''} ${mistake}`;
      const same = found.get(key);
      if (same !== undefined) same.more++;
      else
        found.set(key, { title: printable(`${object.kind} ${namespace === undefined ? name : `${namespace}/${name}`}`), mistake, more: 0 });
    }
  }
  const problems = [...found.values()].map(({ title, mistake, more }) => `${title}${more === 0 ? '' : ` and ${more} more`}: ${mistake}`);
  const left = problems.length - MOST_LISTED;
  return left <= 0 ? problems : [...problems.slice(0, MOST_LISTED), `${left} more annotations of pods, namespaces and routes are ignored`];
}
