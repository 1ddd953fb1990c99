// The share of traces that an annotation asks for.
import { expect } from 'chai';
import fc from 'fast-check';
import { parseTraceSampling } from '#core/contract/trace-sampling.ts';

describe('core: trace-sampling', () => {
  it('is a share or a percentage', () => {
    const values = {
      '0': 0,
      '0.05': 0.05,
      '.5': 0.5,
      '1': 1,
      '1.0': 1,
      '5%': 0.05,
      '7%': 0.07,
      '0.1%': 0.001,
      '100%': 1,
      '1e-05': 0.00001,
    };
    for (const [text, share] of Object.entries(values)) expect(parseTraceSampling(text), text).to.equal(share);
  });

  it('names the nearest valid form', () => {
    const hints = { '5': '5%', '150%': '1', '1.5': '1.5%', '-0.1': '0', '5 %': '5%', '0,05': '0.05', '5 percent': '5%', '200': '1' };
    for (const [text, near] of Object.entries(hints))
      expect(() => parseTraceSampling(text), text).to.throw(RangeError, `did you mean ${near}?`);
    for (const text of ['', 'always', '%', 'NaN', 'Infinity', '0x1', '1_0', '1'.repeat(100)])
      expect(() => parseTraceSampling(text), text).to.throw(RangeError, /0 to 1/);
  });

  it('gives a share or a RangeError, whatever stands there', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.double().map(String),
          fc.double().map((n) => `${n}%`),
        ),
        (text) => {
          try {
            expect(parseTraceSampling(text)).to.be.within(0, 1);
          } catch (error) {
            expect(error).to.be.instanceOf(RangeError);
          }
        },
      ),
    );
  });
});
