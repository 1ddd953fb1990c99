// Texts of others in messages: whatever they hold, what comes out is short, on one line and steers no terminal.
import { expect } from 'chai';
import fc from 'fast-check';
import { printable, quote, sentence } from '#core/text/printable.ts';

const any = fc.string({ unit: 'binary' });

describe('a text of others', () => {
  it('has no control, format or unassigned character once it is printable', () => {
    fc.assert(fc.property(any, (text) => !/\p{C}/u.test(printable(text))));
    expect(printable('a\u001b[31mb\u202ec\n')).to.equal('a\\u001b[31mb\\u202ec\\u000a');
  });

  it('stays as it is when it is printable already', () => {
    fc.assert(fc.property(any, (text) => printable(printable(text)) === printable(text)));
  });

  it('is cut to the length that is allowed, and never inside a character', () => {
    const length = fc.integer({ min: 1, max: 40 });
    fc.assert(fc.property(any, length, (text, most) => sentence(text, most).length <= most && sentence(text, most).isWellFormed()));
    expect(sentence('payment is away', 8)).to.equal('payment…');
  });

  it('is quoted, and what is no text is named', () => {
    expect(['pay"ment', '', 7, true, null, undefined, [], {}].map(quote)).to.deep.equal([
      '"pay\\"ment"',
      '""',
      '7',
      'true',
      'nothing',
      'nothing',
      'a list',
      'a map',
    ]);
    expect(quote('x'.repeat(500))).to.equal(`"${'x'.repeat(80)}…"`);
  });
});
