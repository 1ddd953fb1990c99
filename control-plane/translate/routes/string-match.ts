// How a text is matched in routes of every kind: exactly, or by a regular expression.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { StringMatchSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { didYouMean } from '#core/text/nearest.ts';
import { quote } from '#core/text/printable.ts';
import { isAbsent, textOf } from '#objects/fields.ts';
import type { Findings } from './findings.ts';
import { faultOfPattern } from './pattern.ts';

export type StringMatchInit = Exclude<MessageInitShape<typeof StringMatchSchema>, { $typeName: string }>;

const TYPES = ['Exact', 'RegularExpression'];

/** The type of a match; Exact where none is said. Unknown ones are a fault and never a guess (UnsupportedValue). */
export function matchTypeOf(type: unknown, where: string, findings: Findings): string | undefined {
  return isAbsent(type) ? 'Exact' : wordOf(type, 'type', TYPES, where, findings);
}

/** One of a few words; undefined after noting a fault: it is another. @param what names the field in the fault */
export function wordOf<T extends string>(
  value: unknown,
  what: string,
  words: readonly T[],
  where: string,
  findings: Findings,
): T | undefined {
  const text = textOf(value);
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  const hint = text === undefined ? '' : didYouMean(text, words);
  const listed = words.length === 1 ? `${words[0]} is` : `${words.slice(0, -1).join(', ')} or ${words.at(-1)} are`;
  findings.fault(where, `${what} ${quote(value)} is not supported (${listed})${hint}`);
  return undefined;
}

/** Undefined after noting a fault: the pattern cannot be used. */
export function regexMatch(pattern: string, where: string, findings: Findings): StringMatchInit | undefined {
  const fault = faultOfPattern(pattern);
  if (fault === '') return { kind: { case: 'regex', value: pattern } };
  findings.fault(where, `${quote(pattern)}: ${fault}`);
  return undefined;
}
