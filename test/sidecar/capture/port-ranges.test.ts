// Lists of ports: what people may write, and what they are told when it is wrong.
import { expect } from 'chai';
import fc from 'fast-check';
import { includesPort, parsePortRanges } from '#sidecar/capture/port-ranges.ts';

const read = (text: string) => parsePortRanges('WEFT_X', text);

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
      'WEFT_X: "http" is neither a port nor a range; write ports and ranges separated by commas, such as "80,8000-8100"',
      'WEFT_X: "0": 0 is no port; ports are 1 to 65535',
      'WEFT_X: "70000": 70000 is no port; ports are 1 to 65535',
      'WEFT_X: "9-3" ends before it begins; did you mean "3-9"?',
      'WEFT_X: there is an empty entry; write ports and ranges separated by commas, such as "80,8000-8100"',
      'WEFT_X: "1-2-3" is neither a port nor a range; write ports and ranges separated by commas, such as "80,8000-8100"',
    ]);
  });

  it('include the ports that were written and no others', () => {
    const port = fc.integer({ min: 1, max: 200 });
    fc.assert(
      fc.property(fc.array(fc.tuple(port, port), { minLength: 1, maxLength: 8 }), port, (pairs, asked) => {
        const written = pairs.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
        const { ranges, problems } = read(written.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(','));
        expect(problems).to.deep.equal([]);
        expect(includesPort(ranges, asked)).to.equal(written.some(([from, to]) => from <= asked && asked <= to));
        for (let i = 1; i < ranges.length; i++) expect(ranges[i]!.from).to.be.greaterThan(ranges[i - 1]!.to + 1);
      }),
    );
  });
});
