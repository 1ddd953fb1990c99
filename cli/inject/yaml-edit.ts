// A JSON Patch applied to a YAML document, so that comments and the form of everything else stay.
import { applyPatch } from 'rfc6902';
import { Document, isAlias, isScalar, isSeq, type Node, visit } from 'yaml';
import type { Operation } from '#injector/patch.ts';

// kubectl's parser reads these as booleans (YAML 1.1); the one here writes them without quotes.
const BOOLEAN_WORD = /^(?:y|n|yes|no|on|off)$/i;

/**
 * Applies the operations.
 * @returns the same document; a new one without comments where anchors are in use, for a change at one place would show up at others
 */
export function editDocument(document: Document, operations: readonly Operation[]): Document {
  let hasAliases = false;
  visit(document, {
    Alias: () => {
      hasAliases = true;
      return visit.BREAK;
    },
  });
  if (hasAliases) {
    // Parsed from text, so that no two places are one object.
    const value = JSON.parse(JSON.stringify(document.toJS()));
    applyPatch(value, structuredClone(operations) as Parameters<typeof applyPatch>[1]);
    const rebuilt = new Document(value, { aliasDuplicateObjects: false });
    quoteWords(rebuilt.contents as Node);
    return rebuilt;
  }
  for (const operation of operations) edit(document, operation);
  return document;
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
  quoteWords(node);
  const parent = document.getIn(path.slice(0, -1), true);
  if (operation.op === 'add' && isSeq(parent)) parent.items.splice(Number(path.at(-1)), 0, node);
  else document.setIn(path, node);
}

function quoteWords(node: Node): void {
  visit(node, (_, inner) => {
    if (isScalar(inner) && !isAlias(inner) && typeof inner.value === 'string' && BOOLEAN_WORD.test(inner.value))
      inner.type = 'QUOTE_DOUBLE';
  });
}
