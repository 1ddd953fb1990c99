// docs/reference/annotations.md has the names, objects and values of core/contract/annotations.ts and labels.ts, and no
// others.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import {
  ANNOTATION_PREFIX,
  type Annotation,
  INJECTION_ANNOTATIONS,
  LIVE_ANNOTATIONS,
  liveAnnotationKeys,
  RESERVED_ANNOTATIONS,
} from '#core/contract/annotations.ts';
import { LABEL_VALUES } from '#core/contract/labels.ts';
import { ANNOTATION_SETTINGS, ANNOTATION_STATUS } from '#core/contract/names.ts';

const PAGE = readFileSync(path.resolve(import.meta.dirname, '../../../docs/reference/annotations.md'), 'utf8');

/** The rows of the page's tables: each a list of cells, by the first words of their heads. */
function tables(): Map<string, string[][]> {
  const found = new Map<string, string[][]>();
  let rows: string[][] | null = null;
  for (const line of PAGE.split('\n')) {
    const cells = line.startsWith('|') ? line.split('|').slice(1, -1) : null;
    if (cells === null) rows = null;
    else if (rows === null)
      found.set(
        cells
          .map((cell) => cell.trim())
          .join(' ')
          .trim(),
        (rows = []),
      );
    else if (!cells.every((cell) => /^-+$/.test(cell.trim()))) rows.push(cells.map((cell) => cell.trim()));
  }
  return found;
}

/** The names in a cell; `-cpu-limit` behind `weft.dev/proxy-cpu-request` is short for `weft.dev/proxy-cpu-limit`. */
function names(cell: string): string[] {
  const spelt = [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  const stem = /^weft\.dev\/[a-z]+/.exec(spelt[0])![0];
  return spelt.map((name) => (name.startsWith('-') ? stem + name : name));
}

const sorted = (texts: Iterable<string>) => [...texts].sort();
const live: readonly Annotation<unknown>[] = Object.values(LIVE_ANNOTATIONS);
const injected: readonly Annotation<unknown>[] = Object.values(INJECTION_ANNOTATIONS);

describe('the page of labels and annotations', () => {
  it('has each label with the values that it can have', () => {
    const rows = tables().get('label values')!;
    const values = rows.map(([label, cell]) => [names(label)[0], sorted([...cell.matchAll(/`([^`]+)`/g)].map(([, value]) => value))]);
    const known = Object.entries(LABEL_VALUES).map(([label, of]) => [label, sorted(of)]);
    expect(Object.fromEntries(values)).to.deep.equal(Object.fromEntries(known));
  });

  it('has each annotation that injection reads', () => {
    const rows = tables().get('annotation example')!;
    expect(sorted(rows.flatMap(([cell]) => names(cell)))).to.deep.equal(sorted(injected.map(({ key }) => key)));
    // The page's first sentence says so.
    for (const { key, on } of injected) expect(on, key).to.deep.equal(['Namespace', 'Pod']);
  });

  it('has each annotation that sidecars follow, with the objects on which it means something', () => {
    const rows = tables().get('annotation on values')!;
    const documented = rows.map(([cell, on]): [string, string[]] => [names(cell)[0], on.split(', ')]);
    expect(new Map(documented)).to.deep.equal(new Map(live.map(({ key, on }) => [key, [...on]])));
  });

  it('names nothing else of Weft', () => {
    const known = [...injected, ...live].map(({ key }) => key);
    known.push(...Object.keys(LABEL_VALUES), ...RESERVED_ANNOTATIONS, ANNOTATION_STATUS, ANNOTATION_SETTINGS);
    for (const [name] of PAGE.matchAll(/weft\.dev\/[a-z-]+/g)) expect(known).to.include(name);
    for (const name of [...RESERVED_ANNOTATIONS, ANNOTATION_STATUS, ANNOTATION_SETTINGS]) expect(PAGE).to.include(`\`${name}\``);
  });
});

describe('the table of annotations', () => {
  it('has each name once, with our prefix', () => {
    const keys = [...injected, ...live].map(({ key }) => key);
    expect(new Set(keys).size).to.equal(keys.length);
    for (const key of keys) expect(key.startsWith(ANNOTATION_PREFIX), key).to.equal(true);
  });

  it('knows which of the live ones mean something on a kind', () => {
    expect(liveAnnotationKeys('GRPCRoute')).to.deep.equal(['weft.dev/trace-sampling']);
    expect(liveAnnotationKeys('Pod')).to.deep.equal(liveAnnotationKeys());
    expect(liveAnnotationKeys('Service')).to.deep.equal([]);
  });

  it('says of a text that it cannot read what it must be, as a RangeError', () => {
    for (const { key, read } of [...injected, ...live]) expect(() => read('\u0000'), key).to.throw(RangeError);
  });
});
