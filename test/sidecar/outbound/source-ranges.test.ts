// Which clients a load balancer's address is for.
import { expect } from 'chai';
import { mayUse } from '#sidecar/outbound/source-ranges.ts';

describe('mayUse', () => {
  const OWN = ['10.244.1.7', 'fd00:10:244::7'];
  for (const [what, to, ranges, may] of [
    ['no ranges', '203.0.113.1', [], true],
    ['a range that has the client', '203.0.113.1', ['192.0.2.0/24', '10.244.0.0/16'], true],
    ['one to the bit', '203.0.113.1', ['10.244.1.6/31'], true],
    ['one that ends a bit before', '203.0.113.1', ['10.244.1.4/31'], false],
    ['the client alone', '203.0.113.1', ['10.244.1.7/32'], true],
    ['another client alone', '203.0.113.1', ['10.244.1.8/32'], false],
    ['everywhere', '203.0.113.1', ['0.0.0.0/0'], true],
    ['ranges of the other family', '203.0.113.1', ['2001:db8::/32'], true],
    ['everywhere in the other family', '2001:db8::1', ['0.0.0.0/0'], true],
    ['a range of IPv6 that has the client', '2001:db8::1', ['fd00:10::/32'], true],
    ['a range of IPv6 that has it not', '2001:db8::1', ['fd00:11::/32'], false],
    ['ranges of IPv6 in full', '2001:db8::1', ['FD00:0010:0244:0:0:0:0:0/112'], true],
    ['what is no range', '203.0.113.1', ['10.244.0.0', '10.244.0.0/x', '10.244.0.0/33', '10.244.0/8', '', 'x/0', '10.256.0.0/0'], false],
    ['what is no range of IPv6', '2001:db8::1', ['fd00::', 'fd00::/129', 'fd00::1::/8', ':::/0', '1:2:3:4:5:6:7:8:9/0', 'g::/0'], false],
  ] as const)
    it(`${may ? 'takes' : 'leaves'} a client with ${what}`, () => {
      expect(mayUse(to, OWN, ranges)).to.equal(may);
    });

  it('leaves a client without an address of the family', () => {
    expect(mayUse('2001:db8::1', ['10.244.1.7'], ['::/0'])).to.equal(false);
  });
});
