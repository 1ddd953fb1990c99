// Manifests in, manifests with sidecars out, by the very functions of the webhook.
import type { Document } from 'yaml';
import { LABEL_INJECT } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import type { InjectionSettings } from '#injector/containers.ts';
import { decide, type NamespaceFacts } from '#injector/decide.ts';
import { inject } from '#injector/inject.ts';
import { type Operation, patchOf } from '#injector/patch.ts';
import { type InjectablePod, isObject, podProblem } from '#injector/pod.ts';
import { type GoodDocument, type ReadDocument, readPieces } from '#objects/yaml/documents.ts';
import type { StreamPiece } from '#objects/yaml/stream.ts';
import { type LimitsOf, limitsAmong } from './limits.ts';
import { countObjects, type Workload, workloadsOf } from './templates.ts';
import { editDocument, patched } from './yaml-edit.ts';

export interface Entry {
  /** `Deployment shop/web` */
  readonly object: string;
  readonly outcome: 'injected' | 'skipped' | 'failed';
  /** Why, where it was not injected. */
  readonly message: string;
  readonly warnings: readonly string[];
}

export interface InjectedManifests {
  readonly text: string;
  readonly entries: readonly Entry[];
  /** Objects that have no pods. */
  readonly others: number;
}

/** What `weft inject` works with. */
export interface ManifestOptions {
  /** Of objects that name none. */
  readonly namespace: string;
  readonly settings: InjectionSettings;
  /** What limits the pods of a namespace, besides the text. */
  readonly limitsOf: LimitsOf;
  /** What no client can guess, another for each workload. */
  readonly hookToken: () => string;
}

/**
 * Injects every workload of a YAML or JSON text. The command itself asks for injection: a workload stays as it is only
 * where a label says no, or where the webhook would not inject either.
 * @param source for messages: the file's name
 * @throws Failure when the text is not YAML
 */
export function injectManifests(text: string, source: string, options: ManifestOptions): InjectedManifests {
  const pieces = readPieces(text).map(({ piece, documents }) => ({ piece, documents: goodOf(documents, source) }));
  const values = pieces.flatMap(({ documents }) => documents.map(({ value }) => value));
  const namespaces = namespacesOf(values);
  const limitsOf = limitsAmong(values, options.namespace, options.limitsOf);
  const entries: Entry[] = [];
  let others = 0;
  const injectDocument = ({ value, tree }: GoodDocument): EditedDocument => {
    const workloads = workloadsOf(value);
    others += countObjects(value) - workloads.length;
    const operations = workloads.flatMap((workload) => {
      const { entry, patch } = injectWorkload(workload, namespaces, { ...options, limitsOf });
      entries.push(entry);
      return patch;
    });
    return { tree, value, operations };
  };
  const edited = pieces.map(({ piece, documents }) => ({ piece, documents: documents.map(injectDocument) }));
  const changed = edited.some(({ documents }) => documents.some(({ operations }) => operations.length > 0));
  return { text: changed ? write(edited) : text, entries, others };
}

/** The documents of a piece that are not empty. @throws Failure when one is broken */
function goodOf(documents: readonly ReadDocument[], source: string): GoodDocument[] {
  return documents.filter((document) => {
    if (document.state === 'broken') throw new Failure(`${source}:${document.place.line}:${document.place.column}: ${document.message}`);
    return document.state === 'good';
  });
}

function injectWorkload(
  { kind, namespace, name, path, pod }: Workload,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
  { namespace: byDefault, settings, limitsOf, hookToken }: ManifestOptions,
): { entry: Entry; patch: Operation[] } {
  const where = namespace || byDefault;
  const object = `${kind} ${where}/${name || '(without a name)'}`;
  const ended = (outcome: Entry['outcome'], message: string) => ({ entry: { object, outcome, message, warnings: [] }, patch: [] });
  const problem = podProblem(pod);
  if (problem !== '') return ended('failed', `${path.length === 0 ? '' : `${path.join('.')}: `}${problem}`);
  const known = namespaces.get(where);
  const facts = { name: where, labels: { [LABEL_INJECT]: 'enabled', ...known?.labels }, annotations: known?.annotations ?? {} };
  const decision = decide(pod as InjectablePod, facts);
  if ('deny' in decision) return ended('failed', decision.deny);
  if (!decision.inject) return ended('skipped', decision.message);
  const injected = inject(pod as InjectablePod, facts, settings, { hookToken: hookToken(), limits: limitsOf(where) });
  const prefix = path.map((key) => `/${key}`).join('');
  const patch = patchOf(pod as InjectablePod, injected.pod).map((operation) => ({ ...operation, path: prefix + operation.path }));
  return { entry: { object, outcome: 'injected', message: '', warnings: injected.warnings }, patch };
}

/** Namespaces that stand in the same text: their labels and annotations will hold. */
function namespacesOf(values: readonly unknown[]): Map<string, NamespaceFacts> {
  const found = new Map<string, NamespaceFacts>();
  for (const value of values) {
    if (!isObject(value) || value.kind !== 'Namespace' || !isObject(value.metadata)) continue;
    const { name, labels, annotations } = value.metadata;
    if (typeof name === 'string') found.set(name, { name, labels: textsOf(labels), annotations: textsOf(annotations) });
  }
  return found;
}

function textsOf(map: unknown): Record<string, string> {
  const entries = isObject(map) ? Object.entries(map) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

interface EditedDocument {
  readonly tree: Document;
  readonly value: unknown;
  readonly operations: readonly Operation[];
}

interface EditedPiece {
  readonly piece: StreamPiece;
  readonly documents: readonly EditedDocument[];
}

/**
 * The stream again; what is as it was stays so to the octet. kubectl takes a stream that begins with a brace for JSON
 * to its end, so that several documents with JSON in front get separators: then it is YAML, of which JSON is a part.
 */
function write(edited: readonly EditedPiece[]): string {
  const separated = edited.length > 1 && edited[0].piece.json;
  return edited
    .map((one) => {
      const { separator, json } = one.piece;
      const text = textOfPiece(one);
      return `${separator === '' && json && separated ? '---\n' : separator}${json && separated ? `${text.trim()}\n` : text}`;
    })
    .join('');
}

function textOfPiece({ piece, documents }: EditedPiece): string {
  if (documents.every(({ operations }) => operations.length === 0)) return piece.text;
  if (piece.json) return documents.map(({ value, operations }) => `${JSON.stringify(patched(value, operations), null, 2)}\n`).join('');
  return documents
    .map(({ tree, operations }, i) => {
      const document = editDocument(tree, operations);
      if (document.directives) {
        document.directives.docStart = i > 0 || null;
        document.directives.docEnd = false;
      }
      return document.toString({ lineWidth: 0 });
    })
    .join('');
}
