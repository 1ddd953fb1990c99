// Which addresses no pod can have.
import { expect } from 'chai';
import { isOutside } from '#sidecar/outbound/outside.ts';

describe('isOutside', () => {
  it('is true of globally reachable addresses, where the own one is not', () => {
    const own = ['10.1.2.3', 'fd00::3'];
    for (const address of ['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.0.1', '100.128.0.1', '172.15.0.1', '172.32.0.1', '192.0.1.1'])
      expect(isOutside(address, own), address).equal(true);
    for (const address of ['2606:4700::1111', '2001:4860:4860::8888', '2001:200::1', '3fff::1'])
      expect(isOutside(address, own), address).equal(true);
  });

  it('is false of addresses that a pod may have, and of those that are none', () => {
    const own = ['10.1.2.3', 'fd00::3'];
    const reserved = ['0.0.0.0', '10.0.0.1', '100.64.0.1', '100.127.255.255', '127.0.0.1', '169.254.169.254', '172.16.0.1'];
    const more = ['172.31.0.1', '192.168.1.1', '192.0.2.1', '198.18.0.1', '198.51.100.7', '203.0.113.7', '224.0.0.1', '255.255.255.255'];
    for (const address of [...reserved, ...more, 'fd00::1', 'fc00::1', 'fe80::1', '::1', '::', '2001:db8::1', '2001::1', 'ff02::1'])
      expect(isOutside(address, own), address).equal(false);
  });

  it('is false where the own address is global too, or of the other family', () => {
    expect(isOutside('1.1.1.1', ['8.8.8.8'])).equal(false);
    expect(isOutside('2606:4700::1111', ['10.1.2.3'])).equal(false);
    expect(isOutside('1.1.1.1', [])).equal(false);
  });
});
