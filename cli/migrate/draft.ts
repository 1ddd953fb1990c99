// What a migration writes: Gateway API objects, each with what a person has to know of it above it as comments. Pure.
import { Document, visit } from 'yaml';
import { printable } from '#core/text/printable.ts';
import { KUBECTL_WORDS } from '#objects/yaml/schema.ts';

export const GATEWAY_API = 'gateway.networking.k8s.io/v1';

/** `left out`: the new objects do less than the old. `differs`: they do it in another way. */
export type NoteKind = 'left out' | 'differs';

export interface Note {
  readonly kind: NoteKind;
  /** What the old object says, and why it is not so in the new one. */
  readonly text: string;
}

export interface DraftObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: unknown;
}

export interface Draft {
  /** null: nothing could be made of them, as the notes say. */
  readonly object: DraftObject | null;
  /** Old objects that it comes from: "Ingress shop/web". */
  readonly from: readonly string[];
  readonly notes: readonly Note[];
}

/** Notes of one old object, each once. */
export class Notes {
  private readonly found = new Map<string, Note>();

  leftOut(text: string): void {
    this.add('left out', text);
  }

  differs(text: string): void {
    this.add('differs', text);
  }

  get all(): Note[] {
    return [...this.found.values()];
  }

  private add(kind: NoteKind, text: string): void {
    this.found.set(`${kind} ${text}`, { kind, text });
  }
}

const COMMENT_COLUMNS = 116;

/** Manifests for kubectl, in the order of the drafts. */
export function writeDrafts(drafts: readonly Draft[]): string {
  return drafts.map(({ object, from, notes }) => `---\n${commentsOf(from, notes)}${object === null ? '' : yamlOf(object)}`).join('');
}

/** "HTTPRoute shop/web" */
export function objectName({ kind, metadata }: DraftObject): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

function commentsOf(from: readonly string[], notes: readonly Note[]): string {
  const texts = [`From ${from.join(', ')}.`, ...notes.map(({ kind, text }) => `${kind.toUpperCase()}: ${text}`)];
  return texts.map((text) => wrap(printable(text))).join('');
}

/** Comment lines; those after the first are indented, so that it is seen where a note ends. */
function wrap(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > COMMENT_COLUMNS) {
      lines.push(line);
      line = `  ${word}`;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => `# ${each}\n`).join('');
}

/** Absent fields are left away; text that kubectl would read as something else is quoted. */
function yamlOf(object: DraftObject): string {
  const document = new Document(object, { compat: KUBECTL_WORDS, aliasDuplicateObjects: false } as object);
  visit(document, { Pair: (_, { value }) => (value === undefined ? visit.REMOVE : undefined) });
  return document.toString({ lineWidth: 0 });
}
