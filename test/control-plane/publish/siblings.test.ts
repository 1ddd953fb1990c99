// What siblings use: remembered, and bounded whatever sidecars name.
import { expect } from 'chai';
import { Siblings } from '#control-plane/publish/siblings.ts';

describe('Siblings', () => {
  it('gathers what the pods of a workload use', () => {
    const siblings = new Siblings();
    siblings.note('shop/web', ['shop/cart']);
    siblings.note('shop/web', ['shop/payment', 'shop/cart']);
    expect([...siblings.of('shop/web')]).to.deep.equal(['shop/cart', 'shop/payment']);
    expect([...siblings.of('shop/other')]).to.deep.equal([]);
  });

  it('forgets the workload that was touched longest ago', () => {
    const siblings = new Siblings({ workloads: 2, services: 10, all: 100 });
    for (const workload of ['a', 'b', 'a', 'c']) siblings.note(workload, ['x']);
    expect(['a', 'b', 'c'].map((workload) => siblings.of(workload).size)).to.deep.equal([1, 0, 1]);
  });

  it('keeps the newest Services of a workload that names more and more', () => {
    const siblings = new Siblings({ workloads: 10, services: 3, all: 100 });
    for (let i = 0; i < 1000; i++) siblings.note('a', [`s${i}`, `s${i}`]);
    expect([...siblings.of('a')]).to.deep.equal(['s997', 's998', 's999']);
  });

  it('keeps no more over all workloads, the newest of them', () => {
    const siblings = new Siblings({ workloads: 100, services: 3, all: 6 });
    for (const workload of ['a', 'b', 'c']) siblings.note(workload, ['x', 'y', 'z']);
    expect(['a', 'b', 'c'].map((workload) => siblings.of(workload).size)).to.deep.equal([0, 3, 3]);
    siblings.note('b', ['x']);
    siblings.note('d', ['x']);
    expect(['b', 'c', 'd'].map((workload) => siblings.of(workload).size)).to.deep.equal([3, 0, 1]);
    // What was forgotten is not counted any more.
    siblings.note('e', ['x', 'y']);
    expect(['b', 'd', 'e'].map((workload) => siblings.of(workload).size)).to.deep.equal([3, 1, 2]);
  });
});
