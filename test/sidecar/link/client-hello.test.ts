// The ClientHello of real clients, whole, cut, spread over records, and spoilt.
import { expect } from 'chai';
import fc from 'fast-check';
import { LARGEST_CLIENT_HELLO, offeredProtocols } from '#sidecar/link/client-hello.ts';
import { clientHello } from '../../support/client-hello.ts';

/** The same message in records of at most so many octets (RFC 8446 §5.1 allows it). */
function inRecordsOf(size: number, hello: Buffer): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const fragment = message.subarray(at, at + size);
    const header = Buffer.from([0x16, 3, 1, 0, 0]);
    header.writeUInt16BE(fragment.length, 3);
    records.push(header, fragment);
  }
  return Buffer.concat(records);
}

describe('offeredProtocols', () => {
  for (const protocols of [['weft-h2'], ['weft-tcp'], ['h2', 'http/1.1'], []]) {
    it(`finds ${protocols.join(', ') || 'no protocols'} in what OpenSSL sends`, async () => {
      expect(offeredProtocols(await clientHello(protocols))).to.deep.equal(protocols);
      expect(offeredProtocols(await clientHello(protocols, { maxVersion: 'TLSv1.2', servername: 'a.example' }))).to.deep.equal(protocols);
    });
  }

  it('asks for more until the last octet is there, however the records are cut', async () => {
    const hello = await clientHello(['weft-h2']);
    for (const whole of [hello, inRecordsOf(100, hello), inRecordsOf(1, hello)]) {
      for (let length = 0; length < whole.length; length += whole.length > 1000 ? 37 : 1) {
        expect(offeredProtocols(whole.subarray(0, length)), `${length} of ${whole.length}`).to.equal('more');
      }
      expect(offeredProtocols(whole)).to.deep.equal(['weft-h2']);
    }
  });

  it('takes what is no ClientHello for nothing', () => {
    expect(offeredProtocols(Buffer.from('16030100050200000100', 'hex'))).to.equal(null); // a ServerHello
    expect(offeredProtocols(Buffer.from('160301000401ffffff', 'hex'))).to.equal(null); // 16 MiB
    expect(offeredProtocols(Buffer.from('hello, world'))).to.equal(null);
  });

  it('keeps no more than a ClientHello can be long, whatever its records pretend', () => {
    const empty = Buffer.from('1603010000', 'hex');
    const records = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => empty));
    expect(offeredProtocols(records(100))).to.equal('more');
    expect(offeredProtocols(records(Math.ceil(LARGEST_CLIENT_HELLO / empty.length)))).to.equal(null);
    // One octet of the message per record, and one that never ends.
    const slow = inRecordsOf(1, Buffer.concat([Buffer.alloc(5), Buffer.from('01003000', 'hex'), Buffer.alloc(LARGEST_CLIENT_HELLO)]));
    expect(offeredProtocols(slow.subarray(0, LARGEST_CLIENT_HELLO - 1))).to.equal('more');
    expect(offeredProtocols(slow.subarray(0, LARGEST_CLIENT_HELLO))).to.equal(null);
    expect(offeredProtocols(slow)).to.equal(null);
  });

  it('survives a spoilt one', async () => {
    const hello = await clientHello(['weft-h2', 'weft-tcp']);
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.nat(255), fc.nat(hello.length), (at, value, length) => {
        const spoilt = Buffer.from(hello.subarray(0, length));
        if (at < spoilt.length) spoilt[at] = value;
        const verdict = offeredProtocols(spoilt);
        expect(verdict === null || verdict === 'more' || Array.isArray(verdict)).to.equal(true);
      }),
    );
  });
});
