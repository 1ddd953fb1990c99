// Text of manifests → objects and problems: good input as kubectl takes it, and every kind of bad input with its place.
import { expect } from 'chai';
import fc from 'fast-check';
import { objectKey, parseManifests } from '#control-plane/source/files/manifests.ts';
import { formatProblem } from '#control-plane/source/files/problem.ts';

const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n';

function problemsOf(text: string, file = 'f.yaml'): string[] {
  return parseManifests(text, file).problems.map(formatProblem);
}

function keysOf(text: string, file = 'f.yaml'): string[] {
  return parseManifests(text, file).objects.map(({ object }) => objectKey(object));
}

function route(rules: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata:\n  name: r\nspec:\n  rules:\n${rules}`;
}

describe('control-plane/source: manifests', () => {
  describe('good input', () => {
    it('reads several documents, fills the namespace in and knows where each stands', () => {
      const { objects, problems } = parseManifests(
        `# shop\n---\n${SERVICE}---\n---   # next\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n`,
        'dir/f.yaml',
      );
      expect(problems).to.deep.equal([]);
      expect(objects.map(({ object, line }) => [objectKey(object), line])).to.deep.equal([
        ['/Service/default/a', 3],
        ['/Namespace//shop', 9],
      ]);
    });

    it('unfolds lists, also typed ones', () => {
      const items = `items:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n`;
      expect(keysOf(`apiVersion: v1\nkind: List\n${items}`)).to.deep.equal(['/Service/default/a', '/Service/default/b']);
      expect(keysOf('apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p}\n  spec: {containers: []}\n')).to.deep.equal([
        '/Pod/default/p',
      ]);
    });

    it('reads JSON with tabs, and leaves JSON that is no Kubernetes object alone', () => {
      const json = JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' } }, null, '\t');
      expect(keysOf(json, 'a.json')).to.deep.equal(['/Service/default/a']);
      expect(parseManifests('{"name": "shop", "version": "1.0.0"}', 'package.json')).to.deep.include({ objects: [], problems: [] });
    });

    it('takes what kubectl takes: any version of the group, nulls, merge keys, anchors, CRLF, a byte order mark', () => {
      const text = [
        '\uFEFFapiVersion: gateway.networking.k8s.io/v1alpha2',
        'kind: GRPCRoute',
        'metadata: {name: r, namespace: null, labels: null, annotations: {empty: null}}',
        'x-common: &common {weight: 1}',
        'spec:',
        '  rules:',
        '  - matches: null',
        '    backendRefs:',
        '    - {<<: *common, name: a, port: 80}',
        '    - {name: b, port: 80, weight: 0, futureField: {x: 1}}',
        '',
      ].join('\r\n');
      const { objects, problems } = parseManifests(text, 'f.yaml');
      expect(problems).to.deep.equal([]);
      expect(objects[0]!.object.metadata.namespace).to.equal('default');
      expect(objects[0]!.object.spec).to.have.nested.property('rules[0].backendRefs[0].weight', 1);
    });

    it('leaves values of enums to the conditions of the route', () => {
      expect(problemsOf(route('  - matches:\n    - method: {type: Exakt, service: a}\n'))).to.deep.equal([]);
    });

    it('points out fields that are nearly those of a route, and takes the route', () => {
      const typo = route('  - backendRef:\n    - {name: a, port: 80}\n    timeouts: {request: 1s}\n    sessionPersistence: {}\n');
      const { objects, problems } = parseManifests(typo, 'f.yaml');
      expect(problems.map(formatProblem)).to.deep.equal([
        'f.yaml:8:5: GRPCRoute r: spec.rules[0].backendRef has no effect: did you mean backendRefs?',
      ]);
      expect(problems[0]!.severity).to.equal('notice');
      expect(objects).to.have.length(1);
    });

    it('points out values of annotations that nothing will come of, also of pod templates, and takes the object', () => {
      const annotations = 'annotations: {weft.dev/trace-sampling: "5", weft.dev/access-log: all}';
      const deployment = `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector: {}\n  template:\n    metadata:\n      ${annotations}\n    spec: {containers: []}\n`;
      const { objects, problems } = parseManifests(
        `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  ${annotations}\n---\n${deployment}`,
        'f.yaml',
      );
      const told =
        'annotation weft.dev/trace-sampling: "5" is ignored: it must be a share from 0 to 1 or from 0% to 100%, did you mean 5%?';
      expect(problems.map(formatProblem)).to.deep.equal([`f.yaml:5:42: Namespace shop: ${told}`, `f.yaml:14:46: Deployment d: ${told}`]);
      expect(problems.map(({ severity }) => severity)).to.deep.equal(['notice', 'notice']);
      expect(objects).to.have.length(2);
      const unquoted = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, annotations: {weft.dev/trace-sampling: 0.05}}\n';
      expect(problemsOf(unquoted)).to.have.length(1);
      expect(problemsOf(unquoted)[0]).to.include('must be text, not 0.05 (write it in quotes)');
    });

    it('names kinds that it does not read', () => {
      const { ignored, problems, objects } = parseManifests(
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n',
        'f.yaml',
      );
      expect([problems, objects]).to.deep.equal([[], []]);
      expect(ignored).to.deep.equal([{ apiVersion: 'v1', kind: 'ConfigMap', file: 'f.yaml', line: 1, column: 1 }]);
    });
  });

  describe('bad input', () => {
    const cases: [what: string, text: string, problem: string][] = [
      ['a tab', 'apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n', 'f.yaml:4:1: indented with a tab: YAML is indented with spaces'],
      ['a duplicate key', `${SERVICE}kind: Pod\n`, 'f.yaml:5:1: kind stands twice in one map'],
      [
        'a quote without end',
        'apiVersion: v1\nkind: "Service\nmetadata: {name: a}\n',
        'f.yaml:2:7: the quote that opens here is never closed (looked for it up to line 4)',
      ],
      [
        'a second colon',
        'apiVersion: v1\nkind: Service\nmetadata: name: a\n',
        'f.yaml:3:11: unexpected second "name: value": text with ": " in it needs quotes, and fields of one map the same indentation',
      ],
      ['an unknown anchor', `${SERVICE}x: *nope\n`, 'f.yaml:5:4: *nope refers to an anchor &nope that does not stand before it'],
      [
        'a Helm template',
        'apiVersion: v1\nkind: {{ .Values.kind }}\n',
        'f.yaml:2:8: a name cannot be a map or a list (a Helm template must be rendered first: helm template)',
      ],
      ['plain text', 'hello\n', 'f.yaml:1:1: expected a Kubernetes object (a map with apiVersion, kind and metadata), not "hello"'],
      ['a list', '- a\n', 'f.yaml:1:1: expected a Kubernetes object (a map with apiVersion, kind and metadata), not a list'],
      ['no kind', 'apiVersion: v1\nmetadata: {name: a}\n', 'f.yaml:1:1: kind is missing (for example: kind: Service)'],
      ['no apiVersion', 'kind: GRPCRoute\n', 'f.yaml:1:1: apiVersion is missing (for GRPCRoute: apiVersion: gateway.networking.k8s.io/v1)'],
      ['no metadata', 'apiVersion: v1\nkind: Service\n', 'f.yaml:1:1: Service: metadata is missing'],
      ['no name', 'apiVersion: v1\nkind: Service\nmetadata:\n  namespace: x\n', 'f.yaml:4:3: Service: metadata.name is missing'],
      [
        'a name that is a number',
        'apiVersion: v1\nkind: Service\nmetadata:\n  name: 7\n',
        'f.yaml:4:9: Service: metadata.name must be a name, not 7 (write it in quotes)',
      ],
      [
        'a word that is a boolean',
        'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  selector:\n    spare: yes\n',
        'f.yaml:6:12: Service a: spec.selector.spare must be text, not true (write it in quotes)',
      ],
      [
        'a port that is text',
        route('  - backendRefs:\n    - {name: a, port: 80}\n    - name: b\n      port: "http"\n'),
        'f.yaml:10:13: GRPCRoute r: spec.rules[0].backendRefs[1].port must be a number from 1 to 65535, not "http"',
      ],
      [
        'a port out of range',
        route('  - backendRefs:\n    - {name: a, port: 65536}\n'),
        'f.yaml:8:23: GRPCRoute r: spec.rules[0].backendRefs[0].port must be a number from 1 to 65535, not 65536',
      ],
      [
        'a weight below zero',
        route('  - backendRefs:\n    - {name: a, weight: -1}\n'),
        'f.yaml:8:25: GRPCRoute r: spec.rules[0].backendRefs[0].weight must be a number from 0 to 1000000, not -1',
      ],
      [
        'a map where a list belongs',
        route('    matches: []\n'),
        'f.yaml:7:5: GRPCRoute r: spec.rules must be a list, not a map (begin each entry with "- ")',
      ],
      [
        'a backend without name',
        route('  - backendRefs:\n    - port: 80\n'),
        'f.yaml:8:7: GRPCRoute r: spec.rules[0].backendRefs[0].name is missing',
      ],
      [
        'a mistake behind an anchor',
        route('  - backendRefs: &refs\n    - {name: a, port: x}\n  - backendRefs: *refs\n').replace(
          '  - backendRefs: &refs',
          '  - backendRefs: &refs',
        ),
        'f.yaml:8:23: GRPCRoute r: spec.rules[0].backendRefs[0].port must be a number from 1 to 65535, not "x"',
      ],
      [
        'a mistake in a list',
        'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: {ports: [{port: a}]}\n',
        'f.yaml:7:25: Service a: spec.ports[0].port must be a number from 1 to 65535, not "a"',
      ],
    ];
    for (const [what, text, problem] of cases)
      it(`names ${what} and its place`, () => {
        expect(problemsOf(text)[0]).to.equal(problem);
        expect(keysOf(text)).to.deep.equal([]);
      });

    it('loads the good documents around a broken one, whatever is broken', () => {
      const broken = [
        'a: "never closed\n',
        'a: [1, 2\n',
        '\tb: 1\n',
        'a: b: c\n',
        '{{{{\n',
        'a: *x\n',
        '"',
        "'",
        '&a *a\n',
        'x: |9\n',
        '...\n- [}',
      ];
      for (const middle of broken) {
        const text = `${SERVICE}---\n${middle}\n---\n${SERVICE.replace('name: a', 'name: z')}`;
        expect(keysOf(text), JSON.stringify(middle)).to.deep.equal(['/Service/default/a', '/Service/default/z']);
        expect(problemsOf(text), JSON.stringify(middle)).to.have.length(1);
        const line = parseManifests(text, 'f').problems[0]!.line;
        expect(line, JSON.stringify(middle)).to.be.within(6, 9);
      }
    });

    it('names the object that is broken when that can be seen, and says so when not', () => {
      const shaped = parseManifests('apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\nspec: []\n', 'f');
      expect([...shaped.broken]).to.deep.equal(['/Service/shop/a']);
      expect(shaped.brokenUnknown).to.equal(false);
      expect(parseManifests('kind: "Service\n', 'f').brokenUnknown).to.equal(true);
    });

    it('refuses alias bombs and bottomless nesting quickly', () => {
      let bomb = 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nx0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n';
      for (let depth = 1; depth < 12; depth++)
        bomb += `x${depth}: &x${depth} [${Array(9)
          .fill(`*x${depth - 1}`)
          .join(', ')}]\n`;
      expect(problemsOf(bomb)[0]).to.equal('f.yaml:1:1: cannot be read as YAML: more than 1000 uses of anchors');
      const wide = `apiVersion: v1\nkind: Service\nmetadata: {name: a}\nbig: &big ${'x'.repeat(100_000)}\nmany: [${Array(400).fill('*big').join(', ')}]\n`;
      expect(problemsOf(wide)[0]).to.equal('f.yaml:1:1: the uses of its anchors make it larger than 16 MiB');
      for (const deep of ['[', '{a: ', '- ', '- {a: ', '>'])
        for (const times of [300, 100_000]) expect(problemsOf(deep.repeat(times)), deep).to.have.length(1);
      for (const problem of problemsOf('>'.repeat(5000))) expect(problem.length).to.be.below(300);
    });

    it('is not led astray by names from Object.prototype', () => {
      const { objects, problems } = parseManifests(`${SERVICE}__proto__: {polluted: true}\nconstructor: {a: 1}\n`, 'f.yaml');
      expect(problems).to.deep.equal([]);
      expect(objects).to.have.length(1);
      expect(({} as { polluted?: boolean }).polluted).to.equal(undefined);
      expect(problemsOf('apiVersion: v1\nkind: toString\n')).to.deep.equal([]);
    });

    it('never throws, whatever is edited in a good file', () => {
      const good = `${SERVICE}---\n${route('  - matches:\n    - method: {service: a.B, method: C}\n    backendRefs:\n    - {name: b, port: 80}\n')}`;
      const odd = fc.constantFrom(
        '"',
        "'",
        '\t',
        '\n',
        '---\n',
        '- ',
        ': ',
        '{',
        '}',
        '[',
        ']',
        '&a ',
        '*a ',
        '!x ',
        '|',
        '>',
        '%',
        '@',
        '\u0000',
        '\r',
        '?',
        '<<: ',
        '~',
      );
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.nat(good.length), fc.nat(3), odd), { minLength: 1, maxLength: 4 }), (edits) => {
          let text = good;
          for (const [at, cut, insert] of edits) text = text.slice(0, at) + insert + text.slice(at + cut);
          const parsed = parseManifests(text, 'f.yaml');
          for (const { line, column } of parsed.problems) {
            // A lone CR ends a line, too (YAML 1.2.2 §5.4).
            expect(line).to.be.within(1, text.split(/\r\n?|\n/).length);
            expect(column).to.be.at.least(1);
          }
        }),
        { numRuns: 300 },
      );
    });
  });
});
