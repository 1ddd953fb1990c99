// A JSON Patch applied to a YAML document, so that comments and the form of everything else stay.
import { applyPatch } from 'rfc6902';
import { Document, isSeq, visit } from 'yaml';
import type { Operation } from '#injector/patch.ts';
import { KUBECTL_YAML } from '#objects/yaml/schema.ts';

/**
 * Applies the operations.
 * @returns the same document; a new one without comments where anchors are in use, because a change at one place would
 *   show up at others
 */
export function editDocument(document: Document, operations: readonly Operation[]): Document {
  let hasAliases = false;
  visit(document, {
    Alias: () => {
      hasAliases = true;
      return visit.BREAK;
    },
  });
  if (hasAliases) return new Document(patched(document.toJS(), operations), { ...KUBECTL_YAML, aliasDuplicateObjects: false });
  for (const operation of operations) edit(document, operation);
  return document;
}

/** A copy of the value with the operations applied. */
export function patched(value: unknown, operations: readonly Operation[]): unknown {
  // Parsed from text, so that no two places are one object.
  const copy: unknown = JSON.parse(JSON.stringify(value));
  applyPatch(copy, structuredClone(operations) as Parameters<typeof applyPatch>[1]);
  return copy;
}

function edit(document: Document, operation: Operation): void {
  const path = operation.path
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (operation.op === 'remove') {
    document.deleteIn(path);
    return;
  }
  const node = document.createNode(operation.value, { aliasDuplicateObjects: false });
  const parent = document.getIn(path.slice(0, -1), true);
  if (operation.op === 'add' && isSeq(parent)) parent.items.splice(Number(path.at(-1)), 0, node);
  else document.setIn(path, node);
}
