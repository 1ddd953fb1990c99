// Header edits: the cases of the conformance tests by name, and random edits against a slow model.
import { expect } from 'chai';
import fc from 'fast-check';
import { applyEdits } from '#sidecar/route/edit.ts';
import type { HeaderEdit } from '#sidecar/route/records.ts';

const set = (name: string, value: string): HeaderEdit => ({ op: 'set', name, value });
const add = (name: string, value: string): HeaderEdit => ({ op: 'add', name, value });
const remove = (name: string): HeaderEdit => ({ op: 'remove', name, value: '' });
const START = [':method', 'POST', ':path', '/a.S/M'];

/** The same by lines as objects, a fresh list per step. */
function slowly(headers: readonly string[], edits: readonly HeaderEdit[]): string[] {
  let lines = Array.from({ length: headers.length / 2 }, (_, i) => ({ name: headers[2 * i], value: headers[2 * i + 1] }));
  for (const { op, name, value } of edits) {
    const mine = lines.filter((line) => line.name === name);
    if (op === 'remove') lines = lines.filter((line) => line.name !== name);
    else if (mine.length === 0 || (op === 'add' && name === 'set-cookie')) lines = [...lines, { name, value }];
    else if (op === 'set')
      lines = lines.filter((line) => line.name !== name || line === mine[0]).map((line) => (line === mine[0] ? { name, value } : line));
    else {
      const last = mine[mine.length - 1];
      const joined = last.value === '' ? value : [last.value, value].join(name === 'cookie' ? '; ' : ',');
      lines = lines.map((line) => (line === last ? { name, value: joined } : line));
    }
  }
  return lines.flatMap(({ name, value }) => [name, value]);
}

describe('applyEdits', () => {
  // MeshGRPCRouteRequestHeaderModifier and MeshHTTPRouteRequestHeaderModifier.
  it('sets an absent header', () => {
    expect(applyEdits(START, [set('x-header-set', 'set-overwrites-values')])).to.deep.equal([
      ...START,
      'x-header-set',
      'set-overwrites-values',
    ]);
  });

  it('overwrites all values of a present one in the place of the first', () => {
    const headers = [...START, 'x-header-set', 'one', 'some-other-header', 'val', 'x-header-set', 'two'];
    expect(applyEdits(headers, [set('x-header-set', 'new')])).to.deep.equal([...START, 'x-header-set', 'new', 'some-other-header', 'val']);
  });

  it('adds an absent header', () => {
    expect(applyEdits(START, [add('x-header-add', 'add-appends-values')])).to.deep.equal([...START, 'x-header-add', 'add-appends-values']);
  });

  it('appends to a present one with a comma and no space', () => {
    expect(applyEdits([...START, 'x-header-add', 'some-other-value'], [add('x-header-add', 'add-appends-values')])).to.deep.equal([
      ...START,
      'x-header-add',
      'some-other-value,add-appends-values',
    ]);
  });

  it('appends to the last of several lines, so that the joined order is that of the additions', () => {
    const headers = ['x', '1', 'y', '-', 'x', '2'];
    expect(applyEdits(headers, [add('x', '3')])).to.deep.equal(['x', '1', 'y', '-', 'x', '2,3']);
  });

  it('removes every line of a header', () => {
    expect(applyEdits(['x', '1', 'y', '-', 'x', '2', 'z', '-'], [remove('x')])).to.deep.equal(['y', '-', 'z', '-']);
  });

  it('does several at once and keeps what is not named', () => {
    const headers = [
      ...START,
      'x-header-set-2',
      'set-val-2',
      'x-header-add-2',
      'add-val-2',
      'x-header-remove-2',
      'remove-val-2',
      'another-header',
      'a',
    ];
    const edits = [
      set('x-header-set-1', 'header-set-1'),
      set('x-header-set-2', 'header-set-2'),
      add('x-header-add-1', 'header-add-1'),
      add('x-header-add-2', 'header-add-2'),
      remove('x-header-remove-1'),
      remove('x-header-remove-2'),
    ];
    expect(applyEdits(headers, edits)).to.deep.equal([
      ...START,
      'x-header-set-2',
      'header-set-2',
      'x-header-add-2',
      'add-val-2,header-add-2',
      'another-header',
      'a',
      'x-header-set-1',
      'header-set-1',
      'x-header-add-1',
      'header-add-1',
    ]);
  });

  it('never folds Set-Cookie, and joins Cookie by a semicolon', () => {
    expect(applyEdits(['set-cookie', 'a=1'], [add('set-cookie', 'b=2')])).to.deep.equal(['set-cookie', 'a=1', 'set-cookie', 'b=2']);
    expect(applyEdits(['cookie', 'a=1'], [add('cookie', 'b=2')])).to.deep.equal(['cookie', 'a=1; b=2']);
  });

  it('leaves the given list as it was', () => {
    const headers = Object.freeze(['x', '1', 'x', '2']);
    applyEdits(headers, [set('x', '3'), remove('x'), add('x', '4')]);
    expect(headers).to.deep.equal(['x', '1', 'x', '2']);
  });

  it('does as the model does, for random lists and edits', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'cookie', 'set-cookie');
    const value = fc.constantFrom('', '1', '2', 'x,y');
    const headers = fc.array(fc.tuple(name, value), { maxLength: 12 }).map((lines) => [...START, ...lines.flat()]);
    const edits = fc.array(fc.record({ op: fc.constantFrom('set' as const, 'add' as const, 'remove' as const), name, value }), {
      maxLength: 12,
    });
    const asModel = fc.property(headers, edits, (list, changes) => {
      expect(applyEdits(list, changes)).to.deep.equal(slowly(list, changes));
    });
    fc.assert(asModel, { numRuns: 2_000 });
  });
});
