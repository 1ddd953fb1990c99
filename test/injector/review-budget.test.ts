// Octets of reviews under way: which of them has to make room.
import { expect } from 'chai';
import { ReviewBudget } from '#injector/review-budget.ts';

describe('the budget of reviews', () => {
  let nowMs: number;
  let budget: ReviewBudget;
  let shed: string[];

  beforeEach(() => {
    nowMs = 0;
    shed = [];
    budget = new ReviewBudget(100, 80, () => nowMs);
  });

  const begin = (from: string, name = from) => budget.begin(from, () => shed.push(name));

  it('past the bound of all, the address that holds the most loses its largest, not the one that comes', () => {
    begin('greedy', 'small').grow(20);
    begin('greedy', 'large').grow(50);
    begin('other').grow(25);
    const api = begin('api');
    expect(api.grow(10)).to.equal(true);
    expect(shed).to.deep.equal(['large']);
    expect(budget.octets).to.equal(55);
    api.done();
    api.done();
    expect(budget.octets).to.equal(45);
  });

  it('past the bound of one address its own has to go, be it the one that grows', () => {
    begin('a', 'first').grow(50);
    const second = begin('a', 'second');
    expect(second.grow(40)).to.equal(true);
    expect(shed).to.deep.equal(['first']);
    expect(second.grow(41)).to.equal(false);
    expect(second.grow(1)).to.equal(false);
    expect(budget.octets).to.equal(0);
  });

  it('one that is slow goes before a large one that is quick', () => {
    for (let i = 0; i < 4; i++) begin(`slow-${i}`).grow(15);
    nowMs = 1001;
    const api = begin('api');
    expect(api.grow(30)).to.equal(true);
    expect(api.grow(30)).to.equal(true);
    expect(shed).to.deep.equal(['slow-0', 'slow-1']);
  });

  it('what is read already stays until it is answered', () => {
    const one = begin('a');
    one.grow(60);
    one.read();
    const two = begin('b');
    expect(two.grow(41)).to.equal(false);
    expect(shed).to.deep.equal([]);
    one.done();
    expect(begin('b').grow(41)).to.equal(true);
  });
});
