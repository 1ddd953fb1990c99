// "did you mean": near names are found, far ones are not guessed.
import { expect } from 'chai';
import fc from 'fast-check';
import { didYouMean, nearest } from '#core/text/nearest.ts';

describe('nearest', () => {
  const services = ['payment', 'payments-v2', 'checkout', 'ledger', 'db'];

  for (const [typed, meant] of [
    ['paymnt', 'payment'],
    ['paymetn', 'payment'],
    ['paiment', 'payment'],
    ['Payment', 'payment'],
    ['checkuot', 'checkout'],
    ['bd', 'db'],
    ['payments-v1', 'payments-v2'],
  ]) {
    it(`${typed}: ${meant}`, () => expect(nearest(typed, services)).to.equal(meant));
  }

  it('does not guess', () => {
    expect(nearest('inventory', services)).to.equal(undefined);
    expect(nearest('x', services)).to.equal(undefined);
    expect(nearest('', services)).to.equal(undefined);
    expect(nearest('a'.repeat(10_000), ['a'.repeat(10_001)])).to.equal(undefined);
  });

  it('prefers fewer mistakes, then the first by name', () => {
    expect(nearest('echo-v3', ['echo-v2', 'echo-v1', 'echo'])).to.equal('echo-v1');
    expect(nearest('exact', ['Exact', 'exit'])).to.equal('Exact');
  });

  it('does not depend on the order of candidates, and never gives the name itself', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'B'), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(word, fc.array(word), (name, candidates) => {
        const found = nearest(name, candidates);
        expect(nearest(name, [...candidates].reverse())).to.equal(found);
        expect(found).not.to.equal(name);
      }),
    );
  });

  it('words its question', () => {
    expect(didYouMean('paymnt', services)).to.equal(', did you mean "payment"?');
    expect(didYouMean('inventory', services)).to.equal('');
  });
});
