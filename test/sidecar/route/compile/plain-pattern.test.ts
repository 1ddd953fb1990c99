// Patterns that need no engine must mean what the engine says.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { StringMatchSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { readPlainPattern } from '#sidecar/route/compile/plain-pattern.ts';
import { compileStringTest } from '#sidecar/route/compile/string-test.ts';

const test = (pattern: string) => compileStringTest(create(StringMatchSchema, { kind: { case: 'regex', value: pattern } }), 'here').test;

describe('readPlainPattern', () => {
  it('reads literals, prefixes and alternations of them', () => {
    expect(readPlainPattern('foo')).to.deep.equal({ literals: ['foo'], prefixes: [] });
    expect(readPlainPattern('^foo\\.Bar$')).to.deep.equal({ literals: ['foo.Bar'], prefixes: [] });
    expect(readPlainPattern('foo.*')).to.deep.equal({ literals: [], prefixes: [{ prefix: 'foo', atLeast: 0 }] });
    expect(readPlainPattern('(?:v1|v2|canary-.+)')).to.deep.equal({
      literals: ['v1', 'v2'],
      prefixes: [{ prefix: 'canary-', atLeast: 1 }],
    });
    expect(readPlainPattern('')).to.deep.equal({ literals: [''], prefixes: [] });
  });

  it('leaves to the engine what is more, or wrong', () => {
    for (const pattern of [
      'a+',
      '[ab]',
      'a.b',
      'a.*b',
      '\\d',
      'a(b)',
      '(a)|(b)',
      '(?i)a',
      'a?',
      'a{2}',
      '(',
      ')',
      '*',
      'a\\',
      'a^b',
      'a$b',
      '\\Qa\\E',
      '\\é',
    ]) {
      expect(readPlainPattern(pattern), pattern).to.equal(null);
    }
  });

  it('means what RE2 means, for random patterns and texts', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', '.*', '.+', '.', '|', '(', ')', '(?:', '^', '$', '\\.', '\\|', '\\$', '\\)', '\\\\', 'é');
    const pattern = fc.array(piece, { maxLength: 7 }).map((pieces) => pieces.join(''));
    const text = fc.array(fc.constantFrom('a', 'b', '.', '|', '$', ')', '\\', 'é', '\n'), { maxLength: 5 }).map((chars) => chars.join(''));
    let plain = 0;
    const sameAsEngine = fc.property(pattern, fc.array(text, { minLength: 10, maxLength: 10 }), (source, texts) => {
      if (readPlainPattern(source) === null) return;
      plain++;
      const engine = RE2JS.compile(source);
      const fast = test(source);
      for (const value of texts)
        expect(fast(Buffer.from(value).toString('latin1')), `${source} on ${value}`).to.equal(engine.matches(value));
    });
    fc.assert(sameAsEngine, { numRuns: 5_000 });
    expect(plain).to.be.above(500);
  });
});

describe('compileStringTest', () => {
  it('matches in linear time what backtracking cannot', () => {
    expect(test('(a+)+')(`${'a'.repeat(5_000)}!`)).to.equal(false);
  });

  it('refuses what RE2 refuses, and says where', () => {
    for (const pattern of ['(', 'a(?=b)', '(a)\\1', '[', 'x{1001}'])
      expect(() => test(pattern), pattern).to.throw(/^here: .*not a regular expression/);
  });

  it('refuses a kind of match that it does not know', () => {
    expect(() => compileStringTest(create(StringMatchSchema, {}), 'here')).to.throw('here: unknown kind of match');
  });
});
