// Manifests in, manifests with sidecars out, by the very functions of the webhook.
import { type Document, parseAllDocuments } from 'yaml';
import { LABEL_INJECT } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import type { InjectionSettings } from '#injector/containers.ts';
import { decide, type NamespaceFacts } from '#injector/decide.ts';
import { inject } from '#injector/inject.ts';
import { type Operation, patchOf } from '#injector/patch.ts';
import { type InjectablePod, isObject, podProblem } from '#injector/pod.ts';
import { KUBECTL_YAML } from '#objects/kubectl-yaml.ts';
import { countObjects, type Workload, workloadsOf } from './templates.ts';
import { editDocument } from './yaml-edit.ts';

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
}

/**
 * Injects every workload of a YAML or JSON text. Asking for it is the wish to inject: only a label that says no, and what the webhook would not do
 * either, leaves a workload as it is.
 * @param source for messages: the file's name
 * @throws Failure when the text is not YAML
 */
export function injectManifests(text: string, source: string, options: ManifestOptions): InjectedManifests {
  const documents = parseAllDocuments(text, KUBECTL_YAML);
  // An empty text is an empty list with a mark, not a document.
  const parsed: Document[] = Array.isArray(documents) ? [...documents] : [];
  for (const { errors } of parsed) {
    if (errors.length === 0) continue;
    const { linePos, message } = errors[0];
    throw new Failure(`${source}${linePos === undefined ? '' : `:${linePos[0].line}:${linePos[0].col}`}: ${message.split('\n')[0]}`);
  }
  const values = parsed.map((document) => plainOf(document, source));
  const namespaces = namespacesOf(values);
  const entries: Entry[] = [];
  let others = 0;
  let changed = false;
  const made = parsed.map((document, i) => {
    const workloads = workloadsOf(values[i]);
    others += countObjects(values[i]) - workloads.length;
    const operations = workloads.flatMap((workload) => {
      const { entry, patch } = injectWorkload(workload, namespaces, options);
      entries.push(entry);
      return patch;
    });
    if (operations.length === 0) return document;
    changed = true;
    return editDocument(document, operations);
  });
  return { text: changed ? write(made) : text, entries, others };
}

/** Aliases that grow too much, or name nothing, are found out here only. */
function plainOf(document: Document, source: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new Failure(`${source}: ${(error as Error).message}`);
  }
}

function injectWorkload(
  { kind, namespace, name, path, pod }: Workload,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
  { namespace: byDefault, settings }: ManifestOptions,
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
  const injected = inject(pod as InjectablePod, facts, settings);
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

function write(documents: readonly Document[]): string {
  return documents
    .map((document, i) => {
      if (document.directives) {
        document.directives.docStart = i > 0 || null;
        document.directives.docEnd = false;
      }
      const text = document.toString({ lineWidth: 0 });
      return i > 0 && !text.startsWith('---') ? `---\n${text}` : text;
    })
    .join('');
}
