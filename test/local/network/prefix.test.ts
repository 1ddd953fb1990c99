// Which part of the loopback network a run takes.
import { expect } from 'chai';
import { Failure } from '#core/program/failure.ts';
import { claimPrefix } from '#local/network/prefix.ts';

describe('local/network: the prefix of a run', () => {
  it('takes the first network that no other run has, also when it loses the race', async () => {
    const busy = new Set(['127.77.0.1']);
    const claims: string[] = [];
    const { prefix } = await claimPrefix(
      async (candidate) => {
        claims.push(candidate);
        if (candidate === '127.78') throw Object.assign(new Error('listen'), { code: 'EADDRINUSE' });
      },
      async (host) => (busy.has(host) ? 'EADDRINUSE' : null),
      (candidate) => candidate === '127.79',
    );
    expect(claims).to.deep.equal(['127.78', '127.80']);
    expect(prefix).to.equal('127.80');
  });

  it('says what to do where there is only 127.0.0.1, and gives up on other errors', async () => {
    const outcome = (code: string) =>
      claimPrefix(
        async () => {},
        async () => code,
      ).catch((error: unknown) => error);
    expect(await outcome('EADDRNOTAVAIL'))
      .to.be.instanceOf(Failure)
      .with.property('message')
      .that.includes('ifconfig lo0 alias 127.77.');
    expect(await outcome('EACCES'))
      .to.be.instanceOf(Failure)
      .with.property('message')
      .that.includes('EACCES');
    expect(await outcome('EADDRINUSE')).to.be.instanceOf(Failure);
    const defect = await claimPrefix(
      async () => {
        throw new Error('a defect');
      },
      async () => null,
      () => false,
    ).catch((error: unknown) => error);
    expect(defect).to.have.property('message', 'a defect');
  });
});
