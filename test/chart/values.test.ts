// Values: layers as in Helm, --set, and what is said about wrong ones.
import { expect } from 'chai';
import fc from 'fast-check';
import { weftChart } from '#chart/chart.ts';
import { problemsOf } from '#chart/schema.ts';
import { mergeValues, parseSet, parseValues, ValuesError } from '#chart/values.ts';
import { type InstallOptions, valuesOf } from '#cli/installation/objects.ts';

describe('chart: values', () => {
  const chart = weftChart();
  // biome-ignore lint/suspicious/noExplicitAny: the tests say which values there are
  const valuesFor = (over: Partial<InstallOptions>) => valuesOf({ ha: false, files: [], set: [], ...over }, chart) as any;

  it('are the defaults, then the file of high availability, then files, then sets', () => {
    expect(valuesFor({})).to.deep.equal(
      mergeValues(parseValues(chart.files.get('values.yaml') ?? '', ''), { namespace: { create: true } }),
    );
    const files = [
      { name: 'a.yaml', text: 'controlPlane: { replicas: 7 }\ninjector: { replicas: 7 }' },
      { name: 'b.yaml', text: 'injector: { replicas: 8 }' },
      { name: 'empty.yaml', text: '# nothing' },
    ];
    const values = valuesFor({ ha: true, files, set: ['injector.replicas=9', 'trustDomain=a.b,meshName=m'] });
    expect([values.controlPlane.replicas, values.injector.replicas, values.injector.failurePolicy]).to.deep.equal([7, 9, 'Fail']);
    expect([values.trustDomain, values.meshName]).to.deep.equal(['a.b', 'm']);
    expect(values.controlPlane.resources.requests.cpu).to.equal('100m');
    expect(valuesFor({ set: ['controlPlane.resources.limits.memory=null'] }).controlPlane.resources.limits).to.deep.equal({});
  });

  const SETS: readonly [words: string, values: unknown][] = [
    ['image.tag=1.10', { image: { tag: '1.10' } }],
    ['image.tag=20260101', { image: { tag: '20260101' } }],
    ['pdb.enabled=true', { pdb: { enabled: true } }],
    ['controlPlane.replicas=3', { controlPlane: { replicas: 3 } }],
    ['controlPlane.replicas=03', { controlPlane: { replicas: '03' } }],
    ['controlPlane.nodeSelector.a\\.b/c=true', { controlPlane: { nodeSelector: { 'a.b/c': 'true' } } }],
    ['controlPlane.podAnnotations.x=a\\,b=c', { controlPlane: { podAnnotations: { x: 'a,b=c' } } }],
    ['sidecar.opaquePorts={25,30-40}', { sidecar: { opaquePorts: [25, '30-40'] } }],
    ['image.pullSecrets={}', { image: { pullSecrets: [] } }],
    ['sidecar.resources.requests.cpu=', { sidecar: { resources: { requests: { cpu: '' } } } }],
    ['pdb.enabled=true,injector.replicas=2', { pdb: { enabled: true }, injector: { replicas: 2 } }],
    ['injector.affinity.a.b=x,injector.affinity.a.c=1', { injector: { affinity: { a: { b: 'x', c: 1 } } } }],
  ];
  const schema = JSON.parse(chart.files.get('values.schema.json') ?? '');
  for (const [words, values] of SETS) it(`--set ${words}`, () => expect(parseSet(words, schema)).to.deep.equal(values));

  const WRONG: readonly [options: Partial<InstallOptions>, message: string][] = [
    [{ set: ['injector.replica=2'] }, 'there is no value injector.replica, did you mean "injector.replicas"?'],
    [{ set: ['failurePolicy=Fail'] }, 'there is no value failurePolicy, did you mean "injector.failurePolicy"?'],
    [{ set: ['replicas=2'] }, 'there is no value replicas, did you mean "controlPlane.replicas" or "injector.replicas"?'],
    [{ set: ['controlplane.replicas=2'] }, 'there is no value controlplane, did you mean "controlPlane"?'],
    [{ set: ['controlPlane.replicas=two'] }, 'controlPlane.replicas must be an integer, not "two"'],
    [{ set: ['controlPlane.replicas=0'] }, 'controlPlane.replicas must be from 1 to 100, not 0'],
    [{ set: ['controlPlane=3'] }, 'controlPlane must be a map, not 3'],
    [
      { set: ['image.pullPolicy=always'] },
      'image.pullPolicy must be one of Always, IfNotPresent, Never, not "always", did you mean "Always"?',
    ],
    [{ set: ['pdb=null'] }, 'pdb must not be null: leave it out for its default'],
    [{ set: ['pdb.enabled'] }, '--set pdb.enabled: "=" is missing; a comma within a value is written \\,'],
    [{ set: ['.a=b'] }, '--set .a=b: .a is not a key'],
    [
      { set: ['sidecar.opaquePorts[0]=b'] },
      '--set sidecar.opaquePorts[0]=b: a list is set as a whole, sidecar.opaquePorts={a,b}, or in a --values file',
    ],
    [{ set: ['sidecar.opaquePorts={0}'] }, 'sidecar.opaquePorts[0] must be from 1 to 65535, not 0'],
    [{ set: ['sidecar.opaquePorts={http}'] }, 'sidecar.opaquePorts[0]: "http" does not match ^[0-9]{1,5}(-[0-9]{1,5})?$'],
    [{ set: ['__proto__.polluted=1'] }, 'there is no value __proto__'],
    [{ files: [{ name: 'v.yaml', text: '- a' }] }, 'v.yaml: a map of values is needed, like "controlPlane: { replicas: 2 }"'],
    [{ files: [{ name: 'v.yaml', text: 'pdb: { enabled: "yes" }' }] }, 'pdb.enabled must be true or false, not "yes"'],
    [
      { set: ['pdb.enabled=1', 'trustDomain=A'] },
      '2 values are wrong:\n  trustDomain: "A" does not match ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$\n  pdb.enabled must be true or false, not 1',
    ],
  ];
  for (const [options, message] of WRONG) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      try {
        valuesFor(options);
      } catch (error) {
        expect(error).to.be.instanceOf(ValuesError);
        expect((error as Error).message).to.equal(message);
        expect(({} as { polluted?: unknown }).polluted).to.equal(undefined);
        return;
      }
      throw new Error('it was taken');
    });
  }

  it('name file and place of broken YAML', () => {
    expect(() => valuesFor({ files: [{ name: 'v.yaml', text: 'a: [1\nb: 2' }] })).to.throw(ValuesError, /^v\.yaml: .* at line 2/);
    expect(() => valuesFor({ files: [{ name: 'v.yaml', text: 'pdb: {}\npdb: {}' }] })).to.throw(ValuesError, /^v\.yaml: .*unique/);
  });

  it('are read as Helm reads YAML', () => {
    expect(parseValues('a: yes\nb: 010\nc: 12:30\nd: 2026-01-01', '')).to.deep.equal({ a: true, b: 8, c: '12:30', d: '2026-01-01' });
  });

  it('of any --set are taken or refused, and never change Object.prototype', () => {
    const words = fc.array(
      fc.constantFrom('controlPlane', '.', '=', ',', '{', '}', '\\', 'replicas', '3', '__proto__', 'null', '[0]', 'é'),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(words, (parts) => {
        try {
          problemsOf(mergeValues({}, parseSet(parts.join(''), schema)), schema);
        } catch (error) {
          expect(error).to.be.instanceOf(ValuesError);
        }
        expect(Object.keys(Object.prototype)).to.deep.equal([]);
      }),
    );
  });
});
