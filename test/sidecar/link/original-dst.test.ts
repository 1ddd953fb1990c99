// Original destinations where nothing redirects: never a wrong answer, and addresses as RFC 5952 writes them.
// Redirected ones: test/cluster/capture.
import { once } from 'node:events';
import net, { isIPv6, SocketAddress } from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { formatIpv6, originalDestination, originalDestinationProblem } from '#sidecar/link/original-dst.ts';

function octetsOf(groups: readonly number[]): Buffer {
  const octets = Buffer.alloc(18);
  for (const [i, group] of groups.entries()) octets.writeUInt16BE(group, 2 + 2 * i);
  return octets;
}

describe('original destination', () => {
  it('is our own address, or unknown, where nothing redirected the connection', async function () {
    if (process.platform !== 'linux') this.skip();
    expect(originalDestinationProblem()).to.equal('');
    for (const host of ['127.0.0.1', '::1']) {
      const server = net.createServer();
      server.listen(0, '::');
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const client = net.connect(port, host);
      const [accepted] = (await once(server, 'connection')) as [net.Socket];
      const destination = originalDestination(accepted);
      if (destination !== null) expect(destination).to.deep.equal({ address: host, port });
      accepted.destroy();
      expect(originalDestination(accepted)).to.equal(null);
      client.destroy();
      server.close();
    }
  });

  it('has its IPv6 addresses written as RFC 5952 does', () => {
    const cases: [number[], string][] = [
      [[0, 0, 0, 0, 0, 0, 0, 0], '::'],
      [[0, 0, 0, 0, 0, 0, 0, 1], '::1'],
      [[0xfd00, 0, 0, 0, 0, 0, 0, 0], 'fd00::'],
      [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], '2001:db8:0:1:1:1:1:1'],
      [[0x2001, 0, 0, 1, 0, 0, 0, 1], '2001:0:0:1::1'],
      [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], '2001:db8::1:0:0:1'],
      [[0xfd77, 0, 0, 0, 0, 0, 0xabcd, 0x2], 'fd77::abcd:2'],
    ];
    for (const [groups, text] of cases) expect(formatIpv6(octetsOf(groups), 2)).to.equal(text);
  });

  it('has IPv6 addresses written that mean what was given', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const text = formatIpv6(octetsOf(groups), 2);
        expect(isIPv6(text), text).to.equal(true);
        const full = groups.map((g) => g.toString(16)).join(':');
        expect(new SocketAddress({ address: text, family: 'ipv6' }).address).to.equal(
          new SocketAddress({ address: full, family: 'ipv6' }).address,
        );
      }),
    );
  });
});
