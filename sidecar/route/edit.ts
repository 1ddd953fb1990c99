// Header modifiers on a raw, ordered header list: RequestHeaderModifier and ResponseHeaderModifier of the Gateway API.
import { separatorOf } from './match.ts';
import type { HeaderEdit, HeaderList } from './records.ts';

/**
 * Applies edits in order and gives the new list; the given one stays as it was.
 * - set: the first line of the name gets the value, further lines go; absent: a new line at the end.
 * - add: the value is appended to the last line of the name as `a,b` without a space (the conformance tests demand that
 *   form); absent: a new line at the end.
 *   Set-Cookie gets a line of its own (RFC 6265 §3 forbids folding), Cookie is joined by "; " (RFC 9113 §8.2.3).
 * - remove: all lines of the name go.
 * Pseudo-headers are never touched: compile() refuses edits that name one.
 */
export function applyEdits(headers: HeaderList, edits: readonly HeaderEdit[]): string[] {
  const out = headers.slice();
  for (let i = 0; i < edits.length; i++) {
    const edit = edits[i];
    if (edit.op === 'set') set(out, edit.name, edit.value);
    else if (edit.op === 'add') add(out, edit.name, edit.value);
    else removeFrom(out, edit.name, 0);
  }
  return out;
}

function set(out: string[], name: string, value: string): void {
  for (let i = 0; i < out.length; i += 2) {
    if (out[i] !== name) continue;
    out[i + 1] = value;
    removeFrom(out, name, i + 2);
    return;
  }
  out.push(name, value);
}

function add(out: string[], name: string, value: string): void {
  if (name !== 'set-cookie') {
    for (let i = out.length - 2; i >= 0; i -= 2) {
      if (out[i] !== name) continue;
      out[i + 1] = out[i + 1] === '' ? value : `${out[i + 1]}${separatorOf(name)}${value}`;
      return;
    }
  }
  out.push(name, value);
}

function removeFrom(out: string[], name: string, start: number): void {
  let kept = start;
  for (let i = start; i < out.length; i += 2) {
    if (out[i] === name) continue;
    if (kept !== i) {
      out[kept] = out[i];
      out[kept + 1] = out[i + 1];
    }
    kept += 2;
  }
  out.length = kept;
}
