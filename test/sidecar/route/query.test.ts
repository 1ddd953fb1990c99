// Parameters of a query, against the URL standard's own reader.
import { expect } from 'chai';
import fc from 'fast-check';
import { utf8Of } from '#sidecar/route/latin1.ts';
import { queryValue } from '#sidecar/route/query.ts';

describe('queryValue', () => {
  it('finds the first value, decoded; an absent one is null, one without a value empty', () => {
    expect(queryValue('a=1&b=2&a=3', 'a')).to.equal('1');
    expect(queryValue('a&b', 'a')).to.equal('');
    expect(queryValue('a=1=2', 'a')).to.equal('1=2');
    expect(queryValue('x=1', 'a')).to.equal(null);
    expect(queryValue(null, 'a')).to.equal(null);
    expect(queryValue('city=New+York%21', 'city')).to.equal('New York!');
    expect(queryValue('a=100%', 'a')).to.equal('100%');
  });

  it('reads any query as URLSearchParams does', () => {
    const part = fc.string({ unit: fc.constantFrom('a', 'b', '=', '&', '+', '%', '6', '1', '2', ' ', '?'), maxLength: 12 });
    fc.assert(
      fc.property(part, fc.constantFrom('a', 'b', 'a b', '', 'aa'), (query, name) => {
        // An empty name stands nowhere in a route.
        if (name === '') return;
        const found = queryValue(query, name);
        // Octets here, text there.
        expect(found === null ? null : utf8Of(found)).to.equal(new URLSearchParams(`?${query}`).get(name));
      }),
      { numRuns: 20_000 },
    );
  });
});
