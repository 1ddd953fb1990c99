// Header modifiers of the configuration as the flat list of edits that a request runs through.
import type { Filter, HeaderModifier } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { CONNECTION_HEADERS, HEADER_NAME } from '#core/contract/header-names.ts';
import { octetsOf } from '../latin1.ts';
import type { HeaderEdit } from '../records.ts';
import { CompileError } from './compile-error.ts';

// RFC 9113 §8.2.1: no NUL, CR or LF, and no space or tab at the ends.
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/**
 * The request or response modifiers among `filters`, in their order; each in the order set, add, remove.
 * @param what names the place in error messages
 * @throws CompileError for names and values that no message may carry, for pseudo-headers and for headers of the
 * connection
 */
export function compileEdits(filters: readonly Filter[], side: 'requestHeaders' | 'responseHeaders', what: string): HeaderEdit[] {
  const edits: HeaderEdit[] = [];
  for (const { kind } of filters) {
    if (kind.case === side) edits.push(...modifierEdits(kind.value, what));
  }
  return edits;
}

function modifierEdits(modifier: HeaderModifier, what: string): HeaderEdit[] {
  return [
    ...modifier.set.map(({ name, value }) => edit('set', name, value, what)),
    ...modifier.add.map(({ name, value }) => edit('add', name, value, what)),
    ...modifier.remove.map((name) => edit('remove', name, '', what)),
  ];
}

function edit(op: HeaderEdit['op'], name: string, value: string, what: string): HeaderEdit {
  const lower = checkedName(name, what);
  if (CONNECTION_HEADERS.has(lower)) throw new CompileError(`${what}: the header ${lower} belongs to the connection and cannot be edited`);
  if (BAD_VALUE.test(value)) throw new CompileError(`${what}: the value of header ${lower} has characters that no header may carry`);
  return { op, name: lower, value: octetsOf(value) };
}

/** The lower-case form of a header name. Throws CompileError where it is no token: pseudo-headers are none. */
export function checkedName(name: string, what: string): string {
  const lower = name.toLowerCase();
  if (!HEADER_NAME.test(lower)) throw new CompileError(`${what}: ${JSON.stringify(name)} is not a header name`);
  return lower;
}
