// Lists of ports: what people may write, and the messages about what is wrong.
import { expect } from 'chai';
import fc from 'fast-check';
import { formatPortRanges, includesPort, parsePortRanges } from '#core/contract/port-ranges.ts';

const read = parsePortRanges;

describe('port ranges', () => {
  it('are ports and ranges between commas', () => {
    expect(read('80,8000-8100')).to.deep.equal({
      ranges: [
        { from: 80, to: 80 },
        { from: 8000, to: 8100 },
      ],
      problems: [],
    });
    expect(read(' 1 , 65535 , 5 - 7 ').ranges).to.deep.equal([
      { from: 1, to: 1 },
      { from: 5, to: 7 },
      { from: 65535, to: 65535 },
    ]);
    expect(read('')).to.deep.equal({ ranges: [], problems: [] });
    expect(read('  ')).to.deep.equal({ ranges: [], problems: [] });
  });

  it('are merged where they overlap or touch, for the kernel refuses overlaps', () => {
    expect(read('8000-8100,8050-8200,8201,9').ranges).to.deep.equal([
      { from: 9, to: 9 },
      { from: 8000, to: 8201 },
    ]);
  });

  it('tell all mistakes and keep what can be used', () => {
    const { ranges, problems } = read('80,http,0,70000,9-3,,1-2-3');
    expect(ranges).to.deep.equal([{ from: 80, to: 80 }]);
    expect(problems).to.deep.equal([
      '"http" is neither a port nor a range such as 8000-8100',
      '"0": ports go from 1 to 65535',
      '"70000": ports go from 1 to 65535',
      '"9-3" ends before it begins, did you mean "3-9"?',
      '"" is neither a port nor a range such as 8000-8100',
      '"1-2-3" is neither a port nor a range such as 8000-8100',
    ]);
    expect(read('1,'.repeat(300))).to.deep.equal({ ranges: [], problems: ['more than 200 ports or ranges'] });
  });

  it('include the ports that were written and no others', () => {
    const port = fc.integer({ min: 1, max: 200 });
    fc.assert(
      fc.property(fc.array(fc.tuple(port, port), { minLength: 1, maxLength: 8 }), port, (pairs, asked) => {
        const written = pairs.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
        const { ranges, problems } = read(written.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(','));
        expect(problems).to.deep.equal([]);
        expect(read(formatPortRanges(ranges))).to.deep.equal({ ranges, problems: [] });
        expect(includesPort(ranges, asked)).to.equal(written.some(([from, to]) => from <= asked && asked <= to));
        for (let i = 1; i < ranges.length; i++) expect(ranges[i]!.from).to.be.greaterThan(ranges[i - 1]!.to + 1);
      }),
    );
  });
});
