// Which connections from outside are for this pod.
import type os from 'node:os';
import { expect } from 'chai';
import { isOwnAddress } from '#sidecar/pod/capture/ports.ts';

describe('isOwnAddress', () => {
  const interfaces = () =>
    ({
      lo: [
        { address: '127.0.0.1', internal: true },
        { address: '::1', internal: true },
      ],
      eth0: [{ address: '10.244.0.5', internal: false }],
      net1: [{ address: '192.168.7.5', internal: false }],
    }) as unknown as ReturnType<typeof os.networkInterfaces>;

  it("takes the pod's addresses and those of its further interfaces", () => {
    for (const address of ['10.244.0.5', 'fd00::5', '192.168.7.5']) {
      expect(isOwnAddress(address, ['10.244.0.5', 'fd00::5'], interfaces), address).to.equal(true);
    }
  });

  it('takes neither loopback nor what is not ours: whoever sends to these sends forged packets', () => {
    for (const address of ['127.0.0.1', '127.0.0.2', '::1', '10.244.0.6', '169.254.169.254', '10.96.0.1']) {
      expect(isOwnAddress(address, ['10.244.0.5', 'fd00::5'], interfaces), address).to.equal(false);
    }
  });
});
