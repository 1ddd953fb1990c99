// Addresses of Services as people write them, and how many of them are taken.
import { expect } from 'chai';
import { canonicalAddress, externalAddressesOf, MOST_OTHER_ADDRESSES } from '#control-plane/translate/other-addresses.ts';

describe('canonicalAddress', () => {
  for (const [written, canonical] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.000.002.010', '192.0.2.10'],
    ['192.0.2.256', undefined],
    ['192.0.2', undefined],
    ['0x7f.0.0.1', undefined],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['[::1]', undefined],
    ['::1]:80/[', undefined],
    ['fe80::1%eth0', undefined],
    [':::', undefined],
    ['lb.example.com', undefined],
    ['', undefined],
  ] as const)
    it(`reads ${JSON.stringify(written)} as ${canonical ?? 'no address'}`, () => {
      expect(canonicalAddress(written)).to.equal(canonical);
    });
});

describe('externalAddressesOf', () => {
  it('takes so many of one Service, because every sidecar holds them', () => {
    const externalIPs = Array.from({ length: 3 * MOST_OTHER_ADDRESSES }, (_, i) => `192.0.${i >> 8}.${i & 255}`);
    const service = { spec: { clusterIP: '10.96.0.1', externalIPs } };
    expect(externalAddressesOf(service)).to.deep.equal(externalIPs.slice(0, MOST_OTHER_ADDRESSES));
  });
});
