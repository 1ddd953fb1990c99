// The annotations that sidecars follow as they change: what a pod reports of its calls. A value that cannot be used is as if it were not there. Pure.
import { parseAccessLog } from '#core/contract/access-filter.ts';
import { ANNOTATION_ACCESS_LOG, ANNOTATION_TRACE_SAMPLING } from '#core/contract/names.ts';
import { parseTraceSampling } from '#core/contract/trace-sampling.ts';
import { printable, quote, sentence } from '#core/text/printable.ts';
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf } from './fields.ts';

/** Of a mistake: it quotes what may be 512 characters. */
const LONGEST_MISTAKE = 400;

/** What the annotations of one object say. */
export interface TelemetryAnnotations {
  /** 0 to 1; undefined: not said. */
  readonly traceSampling: number | undefined;
  /** A text that parseAccessLog() takes; undefined: not said. */
  readonly accessLog: string | undefined;
  /** One sentence for each value that is not taken, with the nearest valid form. */
  readonly mistakes: readonly string[];
}

/** Those that mean something on pods and namespaces. */
export const TELEMETRY_ANNOTATIONS: readonly string[] = [ANNOTATION_TRACE_SAMPLING, ANNOTATION_ACCESS_LOG];
/** Those that mean something on a route, which has no access log of its own. */
export const ROUTE_ANNOTATIONS: readonly string[] = [ANNOTATION_TRACE_SAMPLING];

/**
 * Reads the annotations of an object, whatever stands in them.
 * @param names those that mean something on its kind
 */
export function readAnnotations(object: KubeObject | undefined, names = TELEMETRY_ANNOTATIONS): TelemetryAnnotations {
  const annotations = fieldsOf(fieldsOf(object?.metadata).annotations);
  const mistakes: string[] = [];
  const read = <T>(name: string, parse: (text: string) => T): T | undefined => {
    const value: unknown = annotations[name];
    if (value === undefined || value === null || !names.includes(name)) return undefined;
    try {
      if (typeof value !== 'string') throw new RangeError('it must be text');
      return parse(value);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      mistakes.push(sentence(`annotation ${name}: ${quote(value)} is ignored: ${error.message}`, LONGEST_MISTAKE));
      return undefined;
    }
  };
  const traceSampling = read(ANNOTATION_TRACE_SAMPLING, parseTraceSampling);
  const accessLog = read(ANNOTATION_ACCESS_LOG, validAccessLog);
  return { traceSampling, accessLog, mistakes };
}

function validAccessLog(text: string): string {
  parseAccessLog(text);
  return text;
}

/** Problems told at once: of a thousand pods nobody reads each. */
const MOST_TOLD = 20;

/**
 * What cannot be used of the annotations of these objects, for people. The pods of a namespace that make the same mistake, as those of a Deployment
 * do, are one sentence.
 */
export function annotationProblems(objects: Iterable<KubeObject>, routes: Iterable<KubeObject> = []): string[] {
  const found = new Map<string, { title: string; mistake: string; more: number }>();
  const read = [
    ...Array.from(objects, (object) => ({ object, names: TELEMETRY_ANNOTATIONS })),
    ...Array.from(routes, (object) => ({ object, names: ROUTE_ANNOTATIONS })),
  ];
  for (const { object, names } of read) {
    const { mistakes } = readAnnotations(object, names);
    for (const mistake of mistakes) {
      const { namespace, name } = fieldsOf(object.metadata);
      const key = `${object.kind} ${namespace ?? ''} ${mistake}`;
      const same = found.get(key);
      if (same !== undefined) same.more++;
      else
        found.set(key, { title: printable(`${object.kind} ${namespace === undefined ? name : `${namespace}/${name}`}`), mistake, more: 0 });
    }
  }
  const told = [...found.values()].map(({ title, mistake, more }) => `${title}${more === 0 ? '' : ` and ${more} more`}: ${mistake}`);
  const left = told.length - MOST_TOLD;
  return left <= 0 ? told : [...told.slice(0, MOST_TOLD), `${left} more annotations of pods, namespaces and routes are ignored`];
}
