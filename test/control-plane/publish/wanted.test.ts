// What a sidecar that comes back brings along: its cost, and until when the endpoints that it held are needed.
import { expect } from 'chai';
import type { Catalogue } from '#control-plane/publish/catalogue.ts';
import { Wanted } from '#control-plane/publish/wanted.ts';

describe('control-plane/publish: what a sidecar wants', () => {
  const none = { service: () => null } as unknown as Catalogue;
  const runs = (wanted: Wanted, held: ReadonlyMap<string, string>): void => {
    for (const _ of wanted.assumeRunning([...held].map(([name, version]) => ({ name, version }))));
  };

  it('costs in proportion to what the sidecar holds, however many versions are old', () => {
    const touchesOf = (n: number): number => {
      let touches = 0;
      const wanted = new Wanted(none, 'shop', () => void touches++);
      const held = new Map<string, string>();
      for (let i = 0; i < n; i++) held.set(`service/a/s${i}`, 'old').set(`endpoints/a/e${i}`, 'old');
      runs(wanted, held);
      for (let i = 0; i < n; i++) wanted.runs(`service/a/s${i}`, []);
      return touches;
    };
    expect(touchesOf(100)).to.be.at.most(400);
    expect(touchesOf(10_000)).to.equal(100 * touchesOf(100));
  });

  it('needs all endpoints that it brought until the last of its old Services is replaced', () => {
    const wanted = new Wanted(none, 'shop', () => {});
    runs(
      wanted,
      new Map([
        ['service/a/one', 'old'],
        ['service/a/two', 'old'],
        ['endpoints/a/x', 'old'],
        ['endpoints/a/y', 'old'],
      ]),
    );
    const needed = () => ['a/x', 'a/y', 'a/z'].filter((key) => wanted.needsEndpoints(key));
    expect(needed()).to.deep.equal(['a/x', 'a/y']);
    wanted.runs('service/a/one', ['a/z']);
    expect(needed()).to.deep.equal(['a/x', 'a/y', 'a/z']);
    wanted.runs('service/a/two', ['a/y']);
    expect(needed()).to.deep.equal(['a/y', 'a/z']);
  });
});
