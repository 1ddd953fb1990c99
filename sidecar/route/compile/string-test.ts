// Tests of one string against a literal or an RE2 pattern, made once per configuration.
import type { StringMatch } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { octetsOf, utf8Of } from '../latin1.ts';
import type { StringTest } from '../records.ts';
import { CompileError } from './compile-error.ts';
import { type PlainPattern, readPlainPattern } from './plain-pattern.ts';
import { load } from './re2.cjs';

/**
 * Makes the test of a match. Exact compares octets. A regular expression has RE2's syntax and runs in linear time (no
 * back-references, no look-around, hence no denial of service by a pattern), is anchored at both ends and sees UTF-8
 * text.
 * @param what names the place in error messages, such as "header x-version"
 * @throws CompileError for a pattern that RE2 refuses, or a kind that this version does not know
 */
export function compileStringTest(match: StringMatch, what: string): StringTest {
  switch (match.kind.case) {
    case 'exact': {
      const wanted = octetsOf(match.kind.value);
      return { kind: 'exact', pattern: match.kind.value, octets: wanted, test: (value) => value === wanted };
    }
    case 'regex':
      return { kind: 'regex', pattern: match.kind.value, octets: null, test: compilePattern(match.kind.value, what) };
    default:
      throw new CompileError(`${what}: unknown kind of match`);
  }
}

function compilePattern(pattern: string, what: string): (value: string) => boolean {
  const plain = readPlainPattern(pattern);
  if (plain !== null) return plainTest(plain);
  let engine: { testExact(text: string): boolean };
  try {
    engine = load().RE2JS.compile(pattern);
  } catch (error) {
    throw new CompileError(`${what}: ${JSON.stringify(pattern)} is not a regular expression of RE2: ${(error as Error).message}`);
  }
  return (value) => engine.testExact(utf8Of(value));
}

function plainTest({ literals, prefixes }: PlainPattern): (value: string) => boolean {
  const exact = literals.map(octetsOf);
  const starts = prefixes.map(({ prefix, atLeast }) => ({ prefix: octetsOf(prefix), atLeast }));
  if (starts.length === 0) {
    if (exact.length === 1) {
      const only = exact[0];
      return (value) => value === only;
    }
    const any = new Set(exact);
    return (value) => any.has(value);
  }
  const any = new Set(exact);
  return (value) => {
    if (any.has(value)) return true;
    for (let i = 0; i < starts.length; i++) {
      const { prefix, atLeast } = starts[i];
      // RE2's dot is any character but \n.
      if (value.length >= prefix.length + atLeast && value.startsWith(prefix) && value.indexOf('\n', prefix.length) === -1) return true;
    }
    return false;
  };
}
