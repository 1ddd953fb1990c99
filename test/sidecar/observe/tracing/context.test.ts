import { expect } from 'chai';
import fc from 'fast-check';
import { makeField } from '#sidecar/http/field.ts';
import { HeaderBlock, Template } from '#sidecar/http/header-block.ts';
import { IncomingContext } from '#sidecar/observe/tracing/context.ts';
import { putHex } from '#sidecar/observe/tracing/ids.ts';
import { blockOf } from '../../../support/ended-call.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

function read(headers: Readonly<Record<string, string>>): IncomingContext {
  const context = new IncomingContext();
  context.read(blockOf({ ':method': 'POST', ...headers }));
  return context;
}

function idsOf({ t0, t1, t2, t3, s0, s1 }: IncomingContext): string {
  const digits = Buffer.alloc(48);
  for (const [i, word] of [t0, t1, t2, t3, s0, s1].entries()) putHex(digits, i * 8, word);
  return digits.toString('latin1');
}

describe('incoming trace context', () => {
  it('follows a traceparent', () => {
    const context = read({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'vendor=1' });
    expect([context.found, context.sampled, context.tracestate]).to.deep.equal(['w3c', true, 'vendor=1']);
    expect(idsOf(context)).to.equal(TRACE + SPAN);
    expect(read({ traceparent: `00-${TRACE}-${SPAN}-00` }).sampled).to.equal(false);
    expect(read({ traceparent: `00-${TRACE}-${SPAN}-ff` }).sampled).to.equal(true);
  });

  it('takes of a future version what is the same in it', () => {
    for (const more of ['', '-', '-what the future brings'])
      expect(read({ traceparent: `cc-${TRACE}-${SPAN}-01${more}` }).found).to.equal('w3c');
  });

  it('follows none that is malformed', () => {
    const malformed = [
      '',
      '00',
      `ff-${TRACE}-${SPAN}-01`,
      `00-${TRACE}-${SPAN}-01-more`,
      `cc-${TRACE}-${SPAN}-01more`,
      `0-${TRACE}-${SPAN}-01`,
      `00-${TRACE.toUpperCase()}-${SPAN}-01`,
      `00-${'0'.repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `00_${TRACE}_${SPAN}_01`,
      `00-${TRACE}-${SPAN}-0x`,
      `00-${TRACE}-${SPAN}-1`,
      `00-${TRACE}${SPAN}--01`,
    ];
    for (const traceparent of malformed) {
      const { found, sampled, tracestate } = read({ traceparent, tracestate: 'vendor=1' });
      expect([found, sampled, tracestate], traceparent).to.deep.equal(['none', null, '']);
    }
  });

  it('follows none of two', () => {
    const twice = [SPAN, SPAN].map((span, id) => makeField('traceparent', `00-${TRACE}-${span}-01`, false, id));
    const context = new IncomingContext();
    context.read(new HeaderBlock(new Template([makeField(':method', 'POST', false, 9)]), twice, false));
    expect([context.found, context.sampled]).to.deep.equal(['none', null]);
  });

  it('follows B3 where there is no traceparent', () => {
    const single = read({ b3: `${TRACE}-${SPAN}-1-05e3ac9a4f6e3b90` });
    expect([single.found, single.sampled, idsOf(single)]).to.deep.equal(['b3', true, TRACE + SPAN]);
    expect(read({ b3: `${TRACE}-${SPAN}-d` }).sampled).to.equal(true);
    expect(read({ b3: `${TRACE}-${SPAN}-0` }).sampled).to.equal(false);
    expect(read({ b3: `${TRACE}-${SPAN}` }).sampled).to.equal(null);
    const several = read({ 'x-b3-traceid': TRACE.slice(16), 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' });
    expect([several.found, several.sampled, idsOf(several)]).to.deep.equal(['b3', true, '0'.repeat(16) + TRACE.slice(16) + SPAN]);
    expect(read({ 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-flags': '1' }).sampled).to.equal(true);
    expect(read({ b3: `${TRACE}-${SPAN}-1`, traceparent: `00-${SPAN}${SPAN}-${SPAN}-00` }).found).to.equal('w3c');
    for (const b3 of ['', `${TRACE}`, `${TRACE}-${SPAN}`.replaceAll('a', 'x')]) expect(read({ b3 }).found, b3).to.equal('none');
  });

  it('heeds a decision of B3 that comes without a trace', () => {
    const decisions: [Record<string, string>, boolean | null][] = [
      [{ b3: '0' }, false],
      [{ b3: '1' }, true],
      [{ b3: 'd' }, true],
      [{ b3: 'nonsense' }, null],
      [{ b3: 'nonsense-nonsense-0' }, null],
      [{ 'x-b3-sampled': '0' }, false],
      [{ 'x-b3-sampled': 'True' }, true],
      [{ 'x-b3-sampled': '0', 'x-b3-flags': '1' }, true],
      [{ b3: '0', traceparent: `00-${TRACE}-${SPAN}-01` }, true],
    ];
    for (const [headers, sampled] of decisions) expect(read(headers).sampled, JSON.stringify(headers)).to.equal(sampled);
  });

  it('says when there is no room for one field more', () => {
    const many = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'y']));
    expect(read(many(98)).hasRoom).to.equal(true);
    expect(read(many(99)).hasRoom).to.equal(false);
    expect(read({ ...many(98), traceparent: `00-${TRACE}-${SPAN}-01` }).hasRoom).to.equal(true);
    const long = (octets: number): Record<string, string> => ({ baggage: 'x'.repeat(octets) });
    // ":method: POST" has 43 octets, "baggage: " 39, a traceparent 98.
    expect(read(long(65_536 - 43 - 39 - 98)).hasRoom).to.equal(true);
    expect(read(long(65_536 - 43 - 39 - 97)).hasRoom).to.equal(false);
  });

  it('never throws, whatever comes', () => {
    const value = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0123456789abcdef-') }));
    fc.assert(
      fc.property(value, value, value, (traceparent, b3, tracestate) => {
        expect(read({ traceparent, b3, tracestate }).found).to.be.oneOf(['none', 'w3c', 'b3']);
      }),
    );
  });
});
