// Cancels, deadlines, pauses, oversize, GOAWAY, renewals of certificates, kills and route rewrites, all at once: a short
// form of `npm run test:chaos`.
import { expect } from 'chai';
import { Chaos } from '../support/chaos.ts';

describe('a mesh in which everything happens at once', () => {
  it('loses no call that nothing was done to', async function () {
    this.timeout(120_000);
    const seed = Math.floor(Math.random() * 2 ** 31);
    const { bystanders, lost } = await Chaos.run({ seconds: 12, seed });
    expect(lost, `seed ${seed}`).to.deep.equal([]);
    expect(bystanders, `seed ${seed}`).to.be.greaterThan(100);
  });
});
