// The one YAML reader: each word and each stream as kubectl 1.32.4 reads it (`kubectl annotate --local -f - a=b -o
// json`).
import { expect } from 'chai';
import { parseValues } from '#chart/values.ts';
import { injectManifests } from '#cli/inject/manifests.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import { readDocuments } from '#objects/yaml/documents.ts';
import { SETTINGS } from '#test/injector/golden-case.ts';

/** How a value is written → what kubectl sends to the API server. */
const WORDS: readonly [written: string, value: unknown][] = [
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON', 'true', 'True', 'TRUE'].map((word): [string, unknown] => [word, true]),
  ...['n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF', 'false', 'False', 'FALSE'].map((word): [string, unknown] => [word, false]),
  ...['', '~', 'null', 'Null', 'NULL'].map((word): [string, unknown] => [word, null]),
  ...['yEs', 'nUll', 'tRUE', '_1', '.', '1:30', '190:20:30', '2024-01-01', '2024-01-01T00:00:00Z', '=', '<<'].map(
    (word): [string, unknown] => [word, word],
  ),
  ...['0x', '0b', '0b2', '0o8', '0xg', '0.1e', '0x1.8p1', '1e400'].map((word): [string, unknown] => [word, word]),
  ['0400', 256],
  ['08', 8],
  ['00', 0],
  ['-0', 0],
  ['+5', 5],
  ['0o17', 15],
  ['0O17', 15],
  ['-0o7', -7],
  ['-0777', -511],
  ['0777_1', 4089],
  ['0b11', 3],
  ['0B11', 3],
  ['-0b11', -3],
  ['+0b11', 3],
  ['0x1F', 31],
  ['0X1f', 31],
  ['0x_1', 1],
  ['1_000', 1000],
  ['0_7', 7],
  ['1__0', 10],
  ['1_', 1],
  ['+1_0', 10],
  ['1e3', 1000],
  ['1E3', 1000],
  ['1.5e+3', 1500],
  ['.5', 0.5],
  ['5.', 5],
  ['+.5', 0.5],
  ['-.5', -0.5],
  ['1_0.5', 10.5],
  ['.1_0', 0.1],
  ['.1e2', 10],
  ['8E_+9', 8e9],
  ['.0e8_', '.0e8_'],
  ['1.0', 1],
  ['99999999999999999999', 100000000000000000000],
  ['"0400"', '0400'],
  ["'yes'", 'yes'],
  ['!!str 5', '5'],
  ['!!int "05"', 5],
  ['!!float 1', 1],
  ['!!bool yes', true],
  ['!!binary aGVsbG8=', 'hello'],
  ['!!timestamp 2024-01-01', '2024-01-01'],
  ['!!set {a, b}', { a: null, b: null }],
  ['!!omap [a: 1]', [{ a: 1 }]],
  ['!Ref 12', '12'],
  ['!Ref {a: 1}', { a: 1 }],
  ['! 12', '12'],
];

/** The values of the documents that are not empty; a broken one is its place and message. */
function read(text: string): unknown[] {
  return readDocuments(text).flatMap((document) => {
    if (document.state === 'empty') return [];
    return document.state === 'good' ? [document.value] : [`${document.place.line}:${document.place.column} ${document.message}`];
  });
}

/** What `weft inject` writes, read again; the pod is there so that it writes at all. */
function injected(text: string): unknown {
  const pod = `apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [ { name: app, image: "app:1" } ] }\n${text}`;
  const out = injectManifests(pod, 'in.yaml', {
    namespace: 'default',
    settings: SETTINGS,
    limitsOf: () => NO_LIMITS,
    hookToken: () => 'TOKEN',
  }).text;
  expect(out).to.include('weft-proxy');
  return (read(out)[0] as { v: unknown }).v;
}

describe('objects/yaml: a document is read as kubectl reads it', () => {
  for (const [written, value] of WORDS)
    it(`reads ${written === '' ? 'nothing' : written} as ${JSON.stringify(value)}, for run, explain, inject and install`, () => {
      const text = `v: ${written}\n`;
      expect(read(`kind: x\n${text}`)).to.deep.equal([{ kind: 'x', v: value }]);
      expect(parseValues(text, 'values.yaml')).to.deep.equal({ v: value });
      expect(injected(text)).to.deep.equal(value);
    });

  it('reads keys as it reads values, and writes them as JSON does', () => {
    const text = '{1: a, 010: b, yes: c, 1.50: d, 1e3: e, 2024-01-01: f, 0x10: g, "on": h}';
    expect(read(text)).to.deep.equal([{ 1: 'a', 8: 'b', true: 'c', 1.5: 'd', 1000: 'e', '2024-01-01': 'f', 16: 'g', on: 'h' }]);
  });

  it('refuses what JSON has no value or key for', () => {
    for (const word of ['.inf', '-.Inf', '+.INF', '.nan', '.NaN'])
      expect(read(`v: ${word}\n`), word).to.deep.equal([`1:4 ${word} is no number in JSON`]);
    expect(read('a: 1\n~: b\n')).to.deep.equal(['2:1 a name cannot be null (write it in quotes)']);
  });

  it('merges a map where its key stands: later names win over it, and it wins over earlier ones', () => {
    const anchors = 'b: &b {x: 1, z: 2}\nc: &c {x: 3, w: 4}\n';
    const merged = (spec: string): unknown => (read(`${anchors}spec: ${spec}\n`)[0] as { spec: unknown }).spec;
    expect(merged('{<<: *b, z: 9}')).to.deep.equal({ x: 1, z: 9 });
    expect(merged('{x: 0, <<: *b}')).to.deep.equal({ x: 1, z: 2 });
    expect(merged('{<<: [*b, *c]}')).to.deep.equal({ x: 1, z: 2, w: 4 });
    expect(merged('{<<: *b, <<: *c}')).to.deep.equal({ x: 3, z: 2, w: 4 });
    expect(merged('{<<: {x: 5}, y1: 6}')).to.deep.equal({ x: 5, y1: 6 });
    expect(merged('{"<<": {x: 5}}')).to.deep.equal({ '<<': { x: 5 } });
    expect(read('a: {<<: 1}\n')).to.deep.equal(['1:1 cannot be read as YAML: "<<" takes a map or a list of maps']);
  });

  it('refuses a name that stands twice, of which kubectl takes the last without a word', () => {
    expect(read('a: 1\na: 2\n')).to.deep.equal(['2:1 a stands twice in one map']);
    expect(read('1: a\n01: b\n')).to.deep.equal(['2:1 01 stands twice in one map']);
  });
});

describe('objects/yaml: a stream is cut into documents as kubectl cuts it', () => {
  const A = '{"k":"a"}';
  const B = '{"k":"b"}';
  const BOM = '\uFEFF';
  const streams: [what: string, text: string][] = [
    ['lines of three dashes', 'k: a\n---\nk: b\n'],
    ['dashes with blanks, tabs and a comment behind', 'k: a\n--- \t# next\nk: b\n'],
    ['CRLF', 'k: a\r\n---\r\nk: b\r\n'],
    ['line ends of an old Mac', 'k: a\r---\rk: b\r'],
    ['a byte order mark at the start and behind a separator', `${BOM}k: a\n---\n${BOM}k: b\n`],
    ['empty documents and comments alone', '---\n# one\n---\n---\nk: a\n---\nk: b\n---\n'],
    ['JSON documents one behind another', A + B],
    ['JSON documents on lines of their own, as jq writes them', `${A}\n${B}\n`],
    ['JSON with a byte order mark', `${BOM}${A}\n${B}`],
    ['JSON documents behind a separator', `---\n${A}\n${B}\n`],
    ['JSON and YAML by turns', `${A}\n---\nk: b\n`],
  ];
  for (const [what, text] of streams) it(`cuts ${what}`, () => expect(read(text)).to.deep.equal([{ k: 'a' }, { k: 'b' }]));

  it('does not take brackets in texts for the end of a JSON document', () => {
    expect(read('{"k":"} {\\" } {"}{"k":[{}]}')).to.deep.equal([{ k: '} {" } {' }, { k: [{}] }]);
    expect(read("{k: '} {'}")).to.deep.equal([{ k: '} {' }]);
  });

  it('does not take indented dashes or those behind U+2028 for a separator', () => {
    expect(read('k: |\n  ---\n  x\n')).to.deep.equal([{ k: '---\nx\n' }]);
    expect(read('# x\u2028---\nk: a\n')).to.deep.equal([{ k: 'a' }]);
  });

  it('refuses content on the line of a separator, as kubectl does', () => {
    const message = 'only a comment may stand behind "---" on its line (kubectl: invalid Yaml document separator)';
    expect(read(`k: a\n--- ${B}\n---\nk: c\n`)).to.deep.equal([{ k: 'a' }, `2:5 ${message}`, { k: 'c' }]);
    expect(read('k: a\n----\nk: b\n')).to.deep.equal([{ k: 'a' }, `2:4 ${message}`]);
    const [, broken] = readDocuments('k: a\n--- {k: b}\n');
    expect(broken).to.deep.include({ state: 'broken', value: { k: 'b' } });
  });

  it('knows the place of a value in each document, by line and column', () => {
    const places = (text: string): string[] =>
      readDocuments(text).map((document) => {
        if (document.state !== 'good') return document.state;
        const { line, column } = document.placeOf(['k']);
        return `${line}:${column}`;
      });
    expect(places(`${A}${B}\n${A}`)).to.deep.equal(['1:6', '1:15', '2:6']);
    expect(places('k: a\r\n---\r\n\r\nk: b\r\n')).to.deep.equal(['1:4', '4:4']);
    expect(places('y: &m {k: a}\n---\n<<: {k: b}\nk: c\n')).to.deep.equal(['1:1', '4:4']);
  });

  it('keeps what is broken in one JSON document from those before it', () => {
    expect(read(`${A}${B}{"k":`)[0]).to.deep.equal({ k: 'a' });
    expect(read(`${A}${B}{"k":`)[1]).to.deep.equal({ k: 'b' });
    expect(read(`${A}${B}{"k":`)[2]).to.match(/^1:\d+ /);
  });
});
