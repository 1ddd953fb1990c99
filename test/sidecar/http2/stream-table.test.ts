// The table of streams against a plain model.
import { expect } from 'chai';
import fc from 'fast-check';
import type { Stream } from '#sidecar/http2/stream.ts';
import { StreamTable } from '#sidecar/http2/stream-table.ts';

describe('StreamTable', () => {
  it('is a Map, for any order of openings and ends', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ open: fc.integer({ min: 1, max: 40 }) }) },
      { weight: 2, arbitrary: fc.record({ close: fc.nat(5000) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new StreamTable();
        const model = new Map<number, Stream>();
        let id = 1;
        for (const s of steps) {
          if ('open' in s) {
            for (let i = 0; i < s.open; i++, id += 2) {
              const stream = { id } as Stream;
              table.add(stream);
              model.set(id, stream);
            }
          } else if (model.size > 0) {
            const gone = [...model.keys()][s.close % model.size];
            table.delete(gone);
            table.delete(gone);
            model.delete(gone);
            expect(table.get(gone)).equal(undefined);
          }
          expect(table.size).equal(model.size);
        }
        expect(table.all()).deep.equal([...model.values()]);
        for (const [known, stream] of model) expect(table.get(known)).equal(stream);
        expect(table.get(id)).equal(undefined);
      }),
      { numRuns: 100 },
    );
  });
});
