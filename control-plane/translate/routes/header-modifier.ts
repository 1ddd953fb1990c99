// RequestHeaderModifier and ResponseHeaderModifier: one action per header name (HTTPHeaderFilter), none on headers that
// are not the user's.
import { create } from '@bufbuild/protobuf';
import { type HeaderModifier, HeaderModifierSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote } from '#core/text/printable.ts';
import { fieldsOf, isMap, listOf, textOf } from '#objects/fields.ts';
import type { HeaderLine, HeaderModifierFilter } from '#objects/route.ts';
import type { Findings } from './findings.ts';
import { headerNameOf, whyUntouchable } from './header-name.ts';
import { MOST_HEADER_EDITS } from './limits.ts';
import type { RouteTraits } from './traits.ts';

const LONGEST_VALUE = 4096;
// RFC 9110 §5.5: visible characters, spaces and tabs inside. CR, LF and NUL would split the message.
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

/**
 * The edits of one modifier, names in lower case. Faults go to `findings`; a modifier with faults must not be used.
 * Equivalent names in one list: the first counts (HTTPHeader.name). The same name in two lists has no defined outcome
 * and is a fault.
 */
export function translateHeaderModifier(
  filter: HeaderModifierFilter,
  where: string,
  traits: RouteTraits,
  findings: Findings,
): HeaderModifier {
  const { set, add, remove } = filter;
  /** Lower-case name → the list that it stands in. */
  const listOfName = new Map<string, string>();
  const claim = (value: unknown, list: string, at: string): string | undefined => {
    const name = headerNameOf(value, at, findings);
    if (name === undefined) return undefined;
    const untouchable = whyUntouchable(name, traits);
    const other = listOfName.get(name);
    if (untouchable !== undefined) findings.fault(at, untouchable);
    else if (other === undefined) {
      listOfName.set(name, list);
      return name;
    } else if (other !== list) findings.fault(at, `the header ${name} stands in "${other}" as well: one filter does one thing to a header`);
    return undefined;
  };
  const lines = (entries: HeaderLine[] | undefined, list: 'set' | 'add') =>
    listOf(entries, list, MOST_HEADER_EDITS, findings.at(where)).flatMap((entry, i) => {
      const at = `${where}.${list}[${i}]`;
      if (!isMap(entry)) findings.fault(at, `must be a map, not ${quote(entry)}`);
      const name = claim(fieldsOf(entry).name, list, at);
      const value = headerValueOf(fieldsOf(entry).value, at, findings);
      return name === undefined || value === undefined ? [] : [{ name, value }];
    });
  return create(HeaderModifierSchema, {
    set: lines(set, 'set'),
    add: lines(add, 'add'),
    remove: listOf(remove, 'remove', MOST_HEADER_EDITS, findings.at(where)).flatMap(
      (entry, i) => claim(entry, 'remove', `${where}.remove[${i}]`) ?? [],
    ),
  });
}

/** A value that may go on the wire, without the white space around it that is no part of a value (RFC 9110 §5.5). */
function headerValueOf(value: unknown, where: string, findings: Findings): string | undefined {
  const text = textOf(value)?.replace(/^[ \t]+|[ \t]+$/g, '');
  if (text === undefined || text === '') findings.fault(where, `the header's value must be text, not ${quote(value)}`);
  else if (Buffer.byteLength(text) > LONGEST_VALUE) findings.fault(where, `the header's value has more than ${LONGEST_VALUE} octets`);
  else if (CONTROL.test(text)) findings.fault(where, `${quote(text)} has control characters, which no header may carry`);
  else return text;
  return undefined;
}
