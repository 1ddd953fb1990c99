// Which Services are asked about: once each, and not more than the bound.
import { expect } from 'chai';
import { MOST_WANTED_SERVICES, Wants } from '#sidecar/control/wants.ts';

describe('Wants', () => {
  it('answers all that ask for a Service when the answer comes, and asks once', async () => {
    const wants = new Wants();
    const [first, second] = [wants.ask('shop/a', false), wants.ask('shop/a', false)];
    expect([first.isNew, second.isNew]).deep.equal([true, false]);
    wants.answer('shop/a', 'present');
    expect(await Promise.all([first.answer, second.answer])).deep.equal(['present', 'present']);
  });

  it('says of one too many that it is unknown, not that it is absent', async () => {
    const wants = new Wants();
    for (let i = 0; i < MOST_WANTED_SERVICES; i++) wants.ask(`shop/${i}`, false);
    const { answer, isNew } = wants.ask('shop/one-too-many', false);
    expect([await answer, isNew]).deep.equal(['unknown', false]);
    expect(wants.all()).length(MOST_WANTED_SERVICES);
  });
});
