// The renderer of Go's templates: what it renders as Go does, and that it refuses all else with file and line.
import { expect } from 'chai';
import fc from 'fast-check';
import { parse } from 'yaml';
import { render } from '#chart/template/evaluate.ts';
import { type Value, yamlOf } from '#chart/template/functions.ts';
import { parseTemplate } from '#chart/template/parse.ts';

function rendered(source: string, data: unknown = {}): string {
  const { body, defined } = parseTemplate('t.yaml', source);
  return render(body, defined, data as Value);
}

describe('chart/template', () => {
  const data = { a: { b: 'x' }, list: ['p', 'q'], map: { z: 1, m: 2 }, no: false, yes: true, zero: 0, empty: {}, nothing: null };

  const SAME: readonly [source: string, expected: string][] = [
    ['plain', 'plain'],
    ['{{ .a.b }}', 'x'],
    ['{{.a.b}}', 'x'],
    ['{{ $.a.b }}{{ $v := .a }}{{ $v.b }}', 'xx'],
    ['a {{- " b " -}} c', 'a b c'],
    ['a\n{{- /* a comment with }} and "\n lines */ -}}\nb', 'ab'],
    ['{{ "a}}b" }}', 'a}}b'],
    ['{{ 12 }}{{ -3 }}{{ true }}', '12-3true'],
    ['{{ .nothing }}', ''],
    ['{{ if .yes }}y{{ else }}n{{ end }}', 'y'],
    ['{{ if .zero }}a{{ else if .empty }}b{{ else if .list }}c{{ else }}d{{ end }}', 'c'],
    ['{{ if and .yes .no }}a{{ else if or .no .a }}b{{ end }}', 'b'],
    ['{{ and .yes .a.b }}{{ and .zero .b.c }}{{ or .no "r" }}', 'x0r'],
    ['{{ with .a }}{{ .b }}{{ $.zero }}{{ else }}n{{ end }}', 'x0'],
    ['{{ with .empty }}y{{ else }}{{ .a.b }}{{ end }}', 'x'],
    ['{{ range .list }}[{{ . }}]{{ end }}', '[p][q]'],
    ['{{ range $k, $v := .map }}{{ $k }}={{ $v }};{{ end }}', 'm=2;z=1;'],
    ['{{ range $v := .list }}{{ $v }}{{ end }}{{ range .empty }}{{ else }}none{{ end }}', 'pqnone'],
    ['{{ define "t" }}<{{ .b }}{{ $.b }}>{{ end }}{{ include "t" .a }}', '<xx>'],
    ['{{ include "t" (dict "b" (printf "%s-%s" .a.b "y")) }}{{ define "t" }}{{ .b }}{{ end }}', 'x-y'],
    ['{{ .a.b | default "d" | quote }}{{ "" | default "d" }}', '"x"d'],
    ['{{ eq .a.b "x" }}{{ ne "a" "b" }}{{ not .no }}', 'truetruetrue'],
    ['{{ hasKey .a "b" }}{{ hasKey .a "c" }}', 'truefalse'],
    ['{{ int .zero | quote }}{{ join "," .list }}{{ hasPrefix "x" .a.b }}', '"0"p,qtrue'],
    ['k:{{ toYaml .map | nindent 2 }}', 'k:\n  z: 1\n  m: 2'],
    ['{{ $x := 1 }}{{ if .yes }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}', '21'],
  ];
  for (const [source, expected] of SAME) it(`renders ${JSON.stringify(source)}`, () => expect(rendered(source, data)).to.equal(expected));

  const REFUSED: readonly [source: string, message: RegExp][] = [
    ['\n{{ .Missing }}', /^t\.yaml:2: there is no \.Missing$/],
    ['{{ .a.c }}', /there is no \.a\.c, did you mean "b"\?/],
    ['{{ .a.b.c }}', /there is no \.a\.b\.c/],
    ['{{ .map }}', /needs toYaml/],
    ['{{ $x }}', /\$x is not declared here/],
    ['{{ if .yes }}{{ $x := 1 }}{{ end }}{{ $x }}', /not declared/],
    ['{{ qoute "a" }}', /the function "qoute" is not in the subset that Weft renders, did you mean "quote"\?/],
    ['{{ tpl "a" . }}', /"tpl" is not in the subset/],
    ['{{ include "t" . }}', /no template is defined as "t"/],
    ['{{ define "t" }}{{ include "t" . }}{{ end }}{{ include "t" . }}', /t includes itself/],
    ['{{ template "t" . }}', /"template" is not in the subset/],
    ['{{ if .yes }}', /if has no end/],
    ['{{ if .yes }}{{ else }}{{ else }}{{ end }}', /two else/],
    ['{{ end }}', /\{\{ end \}\} without a block/],
    ['{{ if .yes }}{{ define "x" }}{{ end }}{{ end }}', /outside of blocks/],
    ['{{ "a', /not a word|without/],
    ['{{ .a', /"\{\{" without "\}\}"/],
    ['{{ (.a }}', /"\(" without "\)"/],
    ['{{ .a ) }}', /does not belong here|takes nothing/],
    ['{{ }}', /a value is missing/],
    ['{{ .a | }}', /nothing before or after/],
    ['{{ .a.b .zero }}', /a value is not a function/],
    ['{{ "a" | "b" }}', /a value is not a function/],
    ['{{ not quote .a }}', /needs parentheses/],
    ['{{ (.a).b }}', /field of a parenthesis/],
    ['{{ $x = 1 }}', /not a word of the subset/],
    ['{{ 1.5 }}', /./],
    ['{{ quote }}', /quote takes 1 to 1 values, not 0/],
    ['{{ eq 1 "1" }}', /cannot be compared/],
    ['{{ int "1" }}', /not an integer/],
    ['{{ printf "%d" 1 }}', /printf knows %s/],
    ['{{ printf "%s" "a" "b" }}', /more arguments/],
    ['{{ range .a.b }}{{ end }}', /range over string/],
    ['{{ fail "no" }}', /^t\.yaml:1: no$/],
    ['{{ range $a, $b, $c := .list }}{{ end }}', /range takes/],
    ['{{ "\\x41" }}', /escape/],
  ];
  for (const [source, message] of REFUSED)
    it(`refuses ${JSON.stringify(source)}`, () => expect(() => rendered(source, data)).to.throw(message));

  it('writes small numbers as Helm does, and refuses large ones that it would print with an exponent', () => {
    expect(rendered('{{ .n | quote }}', { n: 0.0001 })).to.equal(`"0.0001"`);
    expect([0.00001, -0.000012, 1e-10, 0].map((n) => rendered('{{ .n }}', { n }))).to.deep.equal(['1e-05', '-1.2e-05', '1e-10', '0']);
    expect(rendered('{{ .n }}', { n: 999_999 })).to.equal('999999');
    expect(() => rendered('{{ .n }}', { n: 1_000_000 })).to.throw(/Helm would print/);
    expect(rendered('{{ int .n }}', { n: 1_000_000 })).to.equal('1000000');
  });

  it('leaves text alone and ends for any other text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes('{{'));
        expect(rendered(text)).to.equal(text);
      }),
    );
    const pieces = fc.constantFrom(
      '{{',
      '}}',
      '{{-',
      ' -}}',
      'if',
      'else',
      'end',
      'range',
      '.a',
      '$x',
      ':=',
      '|',
      '(',
      ')',
      '"',
      ' ',
      '\n',
      '/*',
      '*/',
      'quote',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (words) => {
        try {
          rendered(words.join(''), data);
        } catch (error) {
          expect((error as Error).message).to.match(/^t\.yaml:\d+: /);
        }
      }),
    );
  });

  it('quotes words that kubectl would not read as text', () => {
    for (const word of ['yes', '0400', '0o17', '-0O7', '0B11', '0X1f', '1_000', '+_1', '0_o7', '1e3', '.inf', '2026-01-01', '1:30', '~'])
      expect(rendered('v: {{ toYaml .word }}', { word }), word).to.equal(`v: "${word}"`);
    for (const word of ['0o8', '0x', '1e400x', 'yEs']) expect(rendered('v: {{ toYaml .word }}', { word }), word).to.equal(`v: ${word}`);
  });

  it('quotes any string so that YAML reads it back', () => {
    const strings = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(strings, fc.dictionary(strings, strings), (text, map) => {
        expect(parse(rendered('v: {{ .text | quote }}', { text }), { version: '1.1' })).to.deep.equal({ v: text });
        fc.pre(!Object.hasOwn(map, '__proto__'));
        expect(parse(yamlOf({ map }), { version: '1.1' })).to.deep.equal({ map: { ...map } });
      }),
    );
  });
});
