// A trace as text: the golden files test/golden/trace/<case>.<columns>.txt (UPDATE_GOLDEN=1 rewrites them), and traces
// that no service would send.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { COLOURED, PLAIN } from '#cli/print/style.ts';
import { widthOf } from '#cli/print/words.ts';
import { drawTrace, MOST_DRAWN, visible } from '#cli/trace/drawing.ts';
import { type Span, spansOf } from '#cli/trace/jaeger.ts';
import { treeOf } from '#cli/trace/tree.ts';
import { type AnsweredSpan, CHECKOUT, jaegerAnswer, TRACE_ID } from './jaeger-answer.ts';

function draw(spans: readonly AnsweredSpan[], columns = 120, style = PLAIN): string[] {
  return drawTrace(TRACE_ID, treeOf(spansOf(jaegerAnswer(spans))), { columns, style });
}

const ODD: readonly AnsweredSpan[] = [
  { id: '1', name: 'early child, parent and all', at: 500, us: 2000 },
  { id: '2', parent: '1', service: 'other', name: 'begins too early', at: 0, us: 700 },
  { id: '3', parent: 'ffff', service: 'far', name: 'orphan', at: 900, us: 300 },
  { id: '4', name: 'second root', at: 1000, us: 0 },
  { id: '5', parent: '6', name: 'ring a', at: 1100 },
  { id: '6', parent: '5', name: 'ring b', at: 1200 },
  { id: '7', parent: '7', name: 'its own parent', at: 1300 },
  { id: '8', parent: '1', service: '', name: '', at: 1400, tags: { 'http.status_code': 200 } },
  {
    id: '9',
    parent: '8',
    name: 'many events',
    at: 1500,
    logs: Array.from({ length: 12 }, (_, i) => ({
      at: 1400 + i * 10,
      fields: (i === 0 ? {} : { event: `e${i}`, n: i }) as Record<string, string | number>,
    })),
  },
];

describe('weft trace: the drawing', () => {
  for (const [name, spans, columns] of [
    ['checkout', CHECKOUT, 80],
    ['checkout', CHECKOUT, 120],
    ['checkout', CHECKOUT, 200],
    ['odd', ODD, 100],
  ] as const) {
    it(`${name} on ${columns} columns`, () => {
      const lines = draw(spans, columns);
      for (const line of lines) expect(widthOf(line), line).to.be.at.most(columns);
      const file = `test/golden/trace/${name}.${columns}.txt`;
      const text = `${lines.join('\n')}\n`;
      if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text);
      expect(existsSync(file), file).to.equal(true);
      expect(text).to.equal(readFileSync(file, 'utf8'));
    });
  }

  it('is the same in colour but for the colours', () => {
    const coloured = draw(CHECKOUT, 100, COLOURED);
    expect(coloured.join('\n')).to.match(/\u001b\[31mUNAVAILABLE/);
    expect(coloured.map((line) => line.replace(/\u001b\[\d+m/g, '').trimEnd())).to.deep.equal(draw(CHECKOUT, 100));
  });

  it('shows control characters as codes, never raw', () => {
    const nasty = '\u001b[2J\u001b]0;title\u0007\r\nx\u202e\u0085\ud800';
    const lines = draw([
      {
        id: nasty,
        service: nasty,
        name: nasty,
        tags: { 'weft.route': nasty, 'weft.error': nasty, 'weft.peer.identity': nasty, [nasty]: nasty },
      },
      { id: '2', parent: nasty, logs: [{ at: 1, fields: { event: nasty, [nasty]: nasty } }] },
      { id: '3', parent: `x${nasty}` },
    ]);
    for (const line of lines) expect(line).to.match(/^[^\p{Cc}\p{Cf}\p{Cs}]*$/u);
    expect(lines.join('\n')).to.include('\\u{1b}[2J');
    expect(visible('\u001b[31mred')).to.equal('\\u{1b}[31mred');
  });

  it('draws so many spans and says how many are left out', () => {
    const wide = Array.from({ length: 1000 }, (_, i) => ({ id: `${i + 1}`, ...(i > 0 ? { parent: '1' } : {}), at: i, us: 1000 }));
    const lines = draw(wide);
    expect(lines.at(-1)).to.equal(`… ${1000 - MOST_DRAWN} more spans; -o json has them all`);
    expect(lines).to.have.length(MOST_DRAWN + 3);
    const deep = Array.from({ length: 20_000 }, (_, i) => ({ id: `${i + 1}`, ...(i > 0 ? { parent: `${i}` } : {}) }));
    for (const line of draw(deep, 80)) expect(widthOf(line)).to.be.at.most(80);
  });

  it('draws every span once, whatever the parents and times', () => {
    const span = fc.record({ parent: fc.nat(12), at: fc.integer({ min: -5, max: 50 }), us: fc.nat(50), name: fc.string() });
    fc.assert(
      fc.property(fc.array(span, { maxLength: 12 }), fc.integer({ min: 0, max: 240 }), (raw, columns) => {
        const spans = raw.map(
          ({ parent, at, us, name }, i): Span => ({
            spanId: `${i}`,
            parentId: parent === 12 ? '' : `${parent}`,
            service: 's',
            name,
            startUs: at,
            durationUs: us,
            attributes: new Map(),
            events: [],
          }),
        );
        const tree = treeOf(spans);
        expect(tree.rows.map((row) => row.span.spanId).sort()).to.deep.equal(spans.map(({ spanId }) => spanId).sort());
        for (const line of drawTrace(TRACE_ID, tree, { columns, style: PLAIN })) expect(widthOf(line)).to.be.at.most(Math.max(60, columns));
      }),
    );
  });
});
