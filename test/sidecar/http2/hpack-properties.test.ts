// HPACK properties: what the encoder writes the decoder reads, whatever the lists and however the peer changes the
// table.
import { expect } from 'chai';
import fc from 'fast-check';
import { makeField } from '#sidecar/http/field.ts';
import { FieldNames } from '#sidecar/http/field-name.ts';
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

/** White space around a value is no part of it (RFC 9110 §5.5). */
const BLANKS = /^[ \t]+|[ \t]+$/g;

function stripped(entries: readonly string[]): string[] {
  return entries.map((text, i) => (i % 2 === 1 ? text.replace(BLANKS, '') : text));
}

/** Values by name, in the order of their lines: all that the order of a header list means (RFC 9110 §5.3). */
function byName(entries: readonly string[]): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (let i = 0; i < entries.length; i += 2) (values[`=${entries[i]}`] ??= []).push(entries[i + 1]);
  return values;
}

describe('HPACK, encoder to decoder', () => {
  it('is the identity for any sequence of lists, repeated ones and table sizes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder(4096, new FieldNames(Number.POSITIVE_INFINITY));
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
          expect(block.list()).deep.equal(stripped(source.list));
          expect([...(block.template.source.never ?? [])]).deep.equal([...(source.never ?? [])]);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('keeps all values of each name and their order while it learns which names vary', () => {
    const name = fc.constantFrom('x-user', 'x-tenant', 'cookie', 'x-b', 'user-agent');
    const entries = fc.array(fc.tuple(name, fc.string({ minLength: 1, maxLength: 3 })), { maxLength: 8 }).map((pairs) => pairs.flat());
    fc.assert(
      fc.property(fc.array(entries, { minLength: 20, maxLength: 60 }), (lists) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder(4096, new FieldNames(3));
        for (const entries of lists) {
          const octets = Buffer.from(encoder.encode(newHeaderSource(entries, null)));
          expect(byName(decoder.decode(octets, 0, octets.length).list())).deep.equal(byName(stripped(entries)));
        }
      }),
      { numRuns: 100 },
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
        expect([varying[0].name, varying[0].value, varying[0].never]).deep.equal([name, text.replace(BLANKS, ''), never]);
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
    // It is remembered when it came twice: unique blocks leave nothing behind.
    expect(decoder.decode(Buffer.from(second), 0, second.length)).not.equal(known);
    const again = decoder.decode(Buffer.from(second), 0, second.length);
    expect(decoder.decode(Buffer.from(second), 0, second.length)).equal(again);
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
