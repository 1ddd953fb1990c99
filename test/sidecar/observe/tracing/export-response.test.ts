import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect } from 'chai';
import fc from 'fast-check';
import { rejectedSpans } from '#sidecar/observe/tracing/export-response.ts';

function response(rejected: number, message: string): Uint8Array {
  const partial = new BinaryWriter().tag(2, WireType.LengthDelimited).string(message).tag(1, WireType.Varint).int64(rejected).finish();
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(partial).finish();
}

describe('answer of a collector', () => {
  it('says how many spans were refused', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), (rejected, why) => {
        expect(rejectedSpans(response(rejected, why))).to.equal(rejected);
      }),
    );
    expect(rejectedSpans(new Uint8Array())).to.equal(0);
  });

  it('says nothing where it is something else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
        expect(rejectedSpans(octets)).to.be.at.least(0);
      }),
    );
    const whole = response(7, 'full');
    for (let length = 0; length < whole.length; length++) expect(rejectedSpans(whole.subarray(0, length))).to.equal(0);
  });
});
