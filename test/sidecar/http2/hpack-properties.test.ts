// HPACK properties: what the encoder writes the decoder reads, whatever the lists and however the peer changes the
// table.
import { expect } from 'chai';
import fc from 'fast-check';
import { makeField } from '#sidecar/http/field.ts';
import { newHeaderSource } from '#sidecar/http/header-source.ts';
import { HpackDecoder } from '#sidecar/http2/hpack-decoder.ts';
import { HpackEncoder } from '#sidecar/http2/hpack-encoder.ts';
import { ENCODER_TABLE_SIZE } from '#sidecar/http2/limits.ts';

const NAMES = [':path', ':authority', 'content-type', 'cookie', 'x-a', 'x-b', 'x-token-bin', 'authorization', '__proto__', 'accept'];
const latin1 = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((c) => String.fromCharCode(c)), maxLength: 40 });
const value = fc.oneof(
  latin1,
  fc.constantFrom('', '/', 'application/grpc', '200'),
  fc.nat(3).map((n) => 'long'.repeat(n * 400)),
);
const list = fc.array(fc.tuple(fc.constantFrom(...NAMES), value), { minLength: 1, maxLength: 12 }).map((fields) => fields.flat());

type Step = { kind: 'list'; list: string[]; never: boolean } | { kind: 'again'; back: number } | { kind: 'table'; size: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('list' as const), list, never: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('again' as const), back: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('table' as const), size: fc.constantFrom(0, 64, 200, 1000, 4096, 65_536) }) },
);

describe('HPACK, encoder to decoder', () => {
  it('is the identity for any sequence of lists, repeated ones and table sizes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder(4096);
        const sources: ReturnType<typeof newHeaderSource>[] = [];
        for (const s of steps) {
          if (s.kind === 'table') {
            encoder.setPeerTableSize(s.size);
            continue;
          }
          if (s.kind === 'list') sources.push(newHeaderSource(s.list, s.never ? new Set([s.list[0]]) : null));
          if (sources.length === 0) continue;
          const source = sources[s.kind === 'again' ? Math.max(0, sources.length - 1 - s.back) : sources.length - 1];
          const octets = Buffer.from(encoder.encode(source));
          const block = decoder.decode(octets, 0, octets.length);
          expect(block.tooLarge).equal(false);
          expect(block.list()).deep.equal(source.list);
          expect([...(block.template.source.never ?? [])]).deep.equal([...(source.never ?? [])]);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('keeps its table within what the peer allows', () => {
    fc.assert(
      fc.property(fc.array(list, { maxLength: 30 }), fc.constantFrom(0, 64, 300, 4096, 65_536), (lists, size) => {
        const encoder = new HpackEncoder();
        encoder.setPeerTableSize(size);
        const decoder = new HpackDecoder(ENCODER_TABLE_SIZE);
        for (const entries of lists) {
          const octets = encoder.encode(newHeaderSource(entries, null));
          decoder.decode(octets, 0, octets.length);
          expect((decoder as unknown as { tableSize: number }).tableSize).most(Math.min(size, ENCODER_TABLE_SIZE));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('writes varying fields so that they are read again and never enter the table', () => {
    const names = fc.constantFrom('grpc-timeout', 'content-length', 'traceparent', 'grpc-message', 'date');
    fc.assert(
      fc.property(names, latin1, fc.boolean(), (name, text, never) => {
        const field = makeField(name, text, never, 0);
        const out = Buffer.alloc(HpackEncoder.varyingRoom(field));
        const end = HpackEncoder.writeVarying(field, out, 0);
        const decoder = new HpackDecoder(4096);
        const { varying } = decoder.decode(out, 0, end);
        expect([varying[0].name, varying[0].value, varying[0].never]).deep.equal([name, text, never]);
        expect(() => decoder.decode(Buffer.from([0xbe]), 0, 1)).throw('index past the table');
      }),
    );
  });

  it('gives the same block again for the same octets, and another one when the table has moved', () => {
    const decoder = new HpackDecoder(4096);
    const encoder = new HpackEncoder();
    const source = newHeaderSource([':path', '/a.B/C', 'x-a', '1'], null);
    const first = Buffer.from(encoder.encode(source));
    decoder.decode(first, 0, first.length);
    const second = Buffer.from(encoder.encode(source));
    const known = decoder.decode(second, 0, second.length);
    expect(decoder.decode(Buffer.from(second), 0, second.length)).equal(known);
    const other = Buffer.from(encoder.encode(newHeaderSource(['x-a', '2'], null)));
    decoder.decode(other, 0, other.length);
    // The same octets now name other fields.
    expect(decoder.decode(second, 0, second.length).list()).not.deep.equal(source.list);
    expect(known.list()).deep.equal(source.list);
  });

  it('throws HpackError or gives a list, whatever the decoder is fed with', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (blocks) => {
        const decoder = new HpackDecoder(4096);
        for (const octets of blocks) {
          try {
            decoder.decode(Buffer.from(octets), 0, octets.length).list();
          } catch (error) {
            expect((error as Error).constructor.name).equal('HpackError');
            return;
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
