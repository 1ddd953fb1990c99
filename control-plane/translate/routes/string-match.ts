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
  if (isAbsent(type)) return 'Exact';
  const text = textOf(type);
  if (text !== undefined && TYPES.includes(text)) return text;
  const hint = text === undefined ? '' : didYouMean(text, TYPES);
  findings.fault(where, `type ${quote(type)} is not supported (${TYPES.join(' or ')} are)${hint}`);
  return undefined;
}

/** Undefined after noting a fault: the pattern cannot be used. */
export function regexMatch(pattern: string, where: string, findings: Findings): StringMatchInit | undefined {
  const fault = faultOfPattern(pattern);
  if (fault === '') return { kind: { case: 'regex', value: pattern } };
  findings.fault(where, `${quote(pattern)}: ${fault}`);
  return undefined;
}
