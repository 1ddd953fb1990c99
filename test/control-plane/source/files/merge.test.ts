// What stays of earlier versions, which of two equal names wins, and how generations count.
import { expect } from 'chai';
import { parseManifests } from '#control-plane/source/files/manifests.ts';
import {
  type FileContents,
  Generations,
  mergeFiles,
  NO_CONTENTS,
  nextContents,
  REMOVAL_GRACE_MS,
} from '#control-plane/source/files/merge.ts';
import { formatProblem } from '#control-plane/source/files/problem.ts';

const service = (name: string, port = 80) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;

function read(previous: FileContents, text: string | null, nowMs: number): FileContents {
  return nextContents(previous, text === null ? null : parseManifests(text, 'f.yaml'), nowMs);
}

function inForce(contents: FileContents): string[] {
  return mergeFiles(new Map([['f.yaml', contents]])).objects.map(({ object }) => `${object.metadata.name}:${JSON.stringify(object.spec)}`);
}

const A = 'a:{"ports":[{"port":80}]}';
const B = 'b:{"ports":[{"port":80}]}';

describe('control-plane/source: merge', () => {
  const good = read(NO_CONTENTS, `${service('a')}---\n${service('b')}`, 0);

  it('keeps all that stood in a file that cannot be read, for as long as that lasts', () => {
    let contents = read(good, null, 0);
    contents = read(contents, null, 1e9);
    expect(inForce(contents)).to.deep.equal([A, B]);
  });

  it('keeps the last good version of the document that is broken, and takes the others', () => {
    const contents = read(good, `${service('a', 81)}---\nkind: "Service\n`, 0);
    expect(inForce(contents)).to.deep.equal(['a:{"ports":[{"port":81}]}', B]);
    const mended = read(contents, `${service('a', 81)}---\n${service('b', 82)}`, 10);
    expect(inForce(mended)).to.deep.equal(['a:{"ports":[{"port":81}]}', 'b:{"ports":[{"port":82}]}']);
  });

  it('keeps only the object that is broken when it is known which that is', () => {
    const text = `apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: []\n`;
    const contents = read(read(good, text, 0), text, REMOVAL_GRACE_MS);
    expect(inForce(contents)).to.deep.equal([A]);
  });

  it('lets what was removed go after the grace, not before, and not later if it is read often', () => {
    let contents = read(good, service('a'), 1000);
    contents = read(contents, service('a'), 1000 + REMOVAL_GRACE_MS - 1);
    expect(inForce(contents)).to.deep.equal([A, B]);
    contents = read(contents, service('a'), 1000 + REMOVAL_GRACE_MS);
    expect(inForce(contents)).to.deep.equal([A]);
  });

  it('forgets a removal when the object comes back in time', () => {
    let contents = read(good, '', 0);
    contents = read(contents, `${service('a')}---\n${service('b')}`, 10);
    contents = read(contents, '', 1000);
    expect(inForce(contents)).to.deep.equal([A, B]);
  });

  it('uses the first of two equal objects by path and names both places', () => {
    const files = new Map([
      ['z.yaml', nextContents(NO_CONTENTS, parseManifests(service('a', 1), 'z.yaml'), 0)],
      ['a.yaml', nextContents(NO_CONTENTS, parseManifests(`# first\n${service('a', 2)}---\n${service('a', 3)}`, 'a.yaml'), 0)],
    ]);
    const { objects, problems } = mergeFiles(files);
    expect(objects.map(({ object }) => object.spec)).to.deep.equal([{ ports: [{ port: 2 }] }]);
    expect(problems.map(formatProblem)).to.deep.equal([
      'a.yaml:7:1: Service default/a stands here a second time: the one in a.yaml:2 is used, this one is not',
      'z.yaml:1:1: Service default/a stands here a second time: the one in a.yaml:2 is used, this one is not',
    ]);
  });

  it('lets an object move from file to file without a problem', () => {
    const files = new Map([
      ['a.yaml', read(read(NO_CONTENTS, service('a', 1), 0), '', 0)],
      ['b.yaml', read(NO_CONTENTS, service('a', 2), 0)],
    ]);
    const { objects, problems } = mergeFiles(files);
    expect(objects.map(({ object }) => object.spec)).to.deep.equal([{ ports: [{ port: 2 }] }]);
    expect(problems).to.deep.equal([]);
  });

  describe('generations', () => {
    const settle = (generations: Generations, text: string) => generations.settle(parseManifests(text, 'f.yaml').objects)[0]!.object;

    it('count changes of the specification only', () => {
      const generations = new Generations();
      const first = settle(generations, service('a'));
      expect(first.metadata.generation).to.equal(1);
      expect(settle(generations, 'kind: Service\napiVersion: v1\nspec:\n  ports:\n  - {port: 80}\nmetadata: {name: a}\n')).to.equal(first);
      const labelled = settle(generations, `${service('a').replace('{name: a}', '{name: a, labels: {x: "1"}}')}`);
      expect(labelled.metadata.generation).to.equal(1);
      expect(labelled).to.not.equal(first);
      expect(settle(generations, service('a', 81)).metadata.generation).to.equal(2);
      expect(settle(generations, service('a', 80)).metadata.generation).to.equal(3);
    });

    it('do not believe the generation that a file claims', () => {
      const claimed = service('a').replace('{name: a}', '{name: a, generation: 77}');
      expect(settle(new Generations(), claimed).metadata.generation).to.equal(1);
    });
  });
});
