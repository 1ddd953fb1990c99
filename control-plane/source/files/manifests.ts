// Text of one manifest file → Kubernetes objects and problems. Pure.
import { isMap } from '#objects/fields.ts';
import { apiVersionOf, groupOf, type Kind } from '#objects/kind.ts';
import { FILE_KINDS, type FileKind, fileKind } from '#objects/kinds.ts';
import { describe, formatPath, type Path, type Violation } from '#objects/shape.ts';
import { type GoodDocument, readDocuments } from '#objects/yaml/documents.ts';
import type { Place } from '#objects/yaml/mistakes.ts';
import type { Problem } from './problem.ts';

/**
 * A Kubernetes object as it is on the wire, of a kind that Weft reads. Its name is there; a namespaced one has its
 * namespace.
 */
export interface FileObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    generation?: number;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

export interface SourcedObject {
  readonly object: FileObject;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A kind that Weft does not read; said once per kind by the caller. */
export interface IgnoredKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface ParsedFile {
  readonly objects: readonly SourcedObject[];
  readonly problems: readonly Problem[];
  readonly ignored: readonly IgnoredKind[];
  /** Keys (see objectKey) of objects that stand here but cannot be used. */
  readonly broken: ReadonlySet<string>;
  /** A part of the file is so broken that it is not known what it holds. */
  readonly brokenUnknown: boolean;
}

/**
 * `<group>/<kind>/<namespace>/<name>`: what makes an object the same in two files. The namespace is empty for
 * cluster-wide kinds.
 */
export function objectKey(object: FileObject): string {
  return `${groupOf(object.apiVersion)}/${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** `GRPCRoute shop/payment`, for people. */
export function objectTitle(object: FileObject): string {
  const { namespace, name } = object.metadata;
  return `${object.kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

// A list in a list in a list: no one writes that by hand.
const DEEPEST_LIST = 4;
// Mistakes that are reported of one object; the rest is reported when these are mended.
const MOST_VIOLATIONS = 10;

/**
 * Reads one file. A broken document or object is a problem and leaves the others alone.
 * @param file shown in problems, as the user would type it; `.json` files without a kind belong to other programs and
 *   are left alone
 */
export function parseManifests(text: string, file: string): ParsedFile {
  const reader = new FileReading(file);
  for (const document of readDocuments(text)) {
    if (document.state === 'good') reader.take(document.value, [], document, 0);
    if (document.state === 'broken') reader.takeBroken(document.value, document.place, document.message);
  }
  return reader.result();
}

class FileReading {
  private readonly file: string;
  private readonly objects: SourcedObject[] = [];
  private readonly problems: Problem[] = [];
  private readonly ignored: IgnoredKind[] = [];
  private readonly broken = new Set<string>();
  private brokenUnknown = false;

  constructor(file: string) {
    this.file = file;
  }

  result(): ParsedFile {
    const { objects, problems, ignored, broken, brokenUnknown } = this;
    return { objects, problems, ignored, broken, brokenUnknown };
  }

  /** A document that is no YAML: what it was meant to be is guessed only to keep its last good version. */
  takeBroken(value: unknown, place: Place, message: string): void {
    this.problem(place, message);
    this.markBroken(value);
  }

  take(value: unknown, path: Path, document: GoodDocument, depth: number): void {
    if (isMap(value) && value.apiVersion === undefined && value.kind === undefined && this.file.endsWith('.json')) return;
    const typed = typeOf(value);
    if ('fault' in typed) {
      this.problem(document.placeOf([...path, ...typed.at]), typed.fault);
      this.markBroken(value);
    } else if (typed.kind.endsWith('List') && Array.isArray(typed.value.items)) {
      this.takeList(typed.value, typed.value.items, path, document, depth);
    } else {
      const known = fileKind(typed.apiVersion, typed.kind);
      if (known !== undefined) this.takeObject(typed.value, known, path, document);
      else this.ignored.push({ apiVersion: typed.apiVersion, kind: typed.kind, file: this.file, ...document.placeOf(path) });
    }
  }

  private takeObject(value: Record<string, unknown>, kind: FileKind, path: Path, document: GoodDocument): void {
    const violations: Violation[] = [];
    kind.shape(value, path, (violation) => violations.push(violation));
    violations.sort((a, b) => Number(a.notice === true) - Number(b.notice === true));
    for (const violation of violations.slice(0, MOST_VIOLATIONS)) {
      const severity = violation.notice === true ? 'notice' : 'error';
      this.problem(document.placeOf(violation.path), `${titleOf(kind.kind, value)}: ${fromObject(violation, path)}`, severity);
    }
    if (violations.some(({ notice }) => notice !== true)) this.markBroken(value);
    else this.objects.push({ object: normalised(value, kind), file: this.file, ...document.placeOf(path) });
  }

  private takeList(list: Record<string, unknown>, items: unknown[], path: Path, document: GoodDocument, depth: number): void {
    if (depth >= DEEPEST_LIST) {
      this.problem(document.placeOf(path), `lists are nested deeper than ${DEEPEST_LIST}`);
      this.brokenUnknown = true;
      return;
    }
    // The items of a typed list, as the API server gives it, do not repeat their type.
    const itemKind = list.kind === 'List' ? undefined : String(list.kind).slice(0, -'List'.length);
    items.forEach((item, index) => {
      const typed = itemKind !== undefined && isMap(item) ? { apiVersion: list.apiVersion, kind: itemKind, ...item } : item;
      this.take(typed, [...path, 'items', index], document, depth + 1);
    });
  }

  private problem(place: Place, message: string, severity: Problem['severity'] = 'error'): void {
    this.problems.push({ severity, file: this.file, line: place.line, column: place.column, message });
  }

  private markBroken(value: unknown): void {
    const key = keyOfBroken(value);
    if (key === null) this.brokenUnknown = true;
    else this.broken.add(key);
  }
}

type Typed = { value: Record<string, unknown>; apiVersion: string; kind: string } | { at: Path; fault: string };

function typeOf(value: unknown): Typed {
  if (!isMap(value))
    return { at: [], fault: `expected a Kubernetes object (a map with apiVersion, kind and metadata), not ${describe(value)}` };
  const { apiVersion, kind } = value;
  if (typeof kind !== 'string' || kind === '') return { at: ['kind'], fault: expectedText('kind', kind, 'for example: kind: Service') };
  if (typeof apiVersion !== 'string' || apiVersion === '')
    return { at: ['apiVersion'], fault: expectedText('apiVersion', apiVersion, hintVersion(kind)) };
  return { value, apiVersion, kind };
}

function keyOfBroken(value: unknown): string | null {
  if (!isMap(value) || typeof value.kind !== 'string' || typeof value.apiVersion !== 'string' || !isMap(value.metadata)) return null;
  const known = fileKind(value.apiVersion, value.kind);
  const { name, namespace } = value.metadata;
  if (known === undefined || typeof name !== 'string' || name === '') return null;
  if (namespace !== undefined && namespace !== null && typeof namespace !== 'string') return null;
  return objectKey(normalised(value, known));
}

/**
 * Namespace filled in as kubectl does; a null is gone; generation is the source's to give (it counts changes of the
 * spec).
 */
function normalised(value: Record<string, unknown>, kind: Kind): FileObject {
  const metadata = { ...(value.metadata as FileObject['metadata']) };
  for (const [field, entry] of Object.entries(metadata)) if (entry === null) delete metadata[field];
  if (kind.namespaced) metadata.namespace = metadata.namespace === undefined || metadata.namespace === '' ? 'default' : metadata.namespace;
  else delete metadata.namespace;
  return { ...value, apiVersion: value.apiVersion as string, kind: kind.kind, metadata };
}

function titleOf(kind: string, value: Record<string, unknown>): string {
  const name = isMap(value.metadata) && typeof value.metadata.name === 'string' ? value.metadata.name : '';
  return name === '' ? kind : `${kind} ${name}`;
}

// Paths begin at the object, not at the list that it stands in.
function fromObject(violation: Violation, path: Path): string {
  const prefix = formatPath(path);
  return prefix !== '' && violation.message.startsWith(`${prefix}.`) ? violation.message.slice(prefix.length + 1) : violation.message;
}

function expectedText(field: string, value: unknown, hint: string): string {
  return value === undefined || value === null
    ? `${field} is missing (${hint})`
    : `${field} must be text, not ${describe(value)} (${hint})`;
}

function hintVersion(kind: string): string {
  const known = FILE_KINDS.find((candidate) => candidate.kind === kind);
  return `for ${known === undefined ? 'example' : kind}: apiVersion: ${known === undefined ? 'v1' : apiVersionOf(known)}`;
}
