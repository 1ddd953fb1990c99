// The octets of addresses, against those of another reader of them.
import { expect } from 'chai';
import fc from 'fast-check';
import { addressOctets } from '#core/contract/address-octets.ts';

const text = (octets: Uint8Array | null): string => (octets === null ? '' : Buffer.from(octets).toString('hex'));

describe('octets of an address', () => {
  it('are the four of IPv4', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }), (octets) => {
        expect(addressOctets(octets.join('.'))).to.deep.equal(Uint8Array.from(octets));
      }),
    );
  });

  it('are the sixteen of IPv6, in full and as RFC 5952 writes it', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const full = groups.map((each) => each.toString(16)).join(':');
        const short = new URL(`http://[${full}]`).hostname.slice(1, -1);
        const expected = groups.map((each) => each.toString(16).padStart(4, '0')).join('');
        expect([full, short].map((address) => text(addressOctets(address)))).to.deep.equal([expected, expected]);
      }),
    );
  });

  it('are none of other text', () => {
    for (const address of [
      '',
      '1.2.3',
      '1.2.3.256',
      '1.2.3.4.5',
      '1.2.3.x',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      'fe80::1%eth0',
    ])
      expect(addressOctets(address), address).to.equal(null);
  });
});
