// `weft inject`: manifests in and out, by way of the command line.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { parseAllDocuments } from 'yaml';
import { injectCommand } from '#cli/inject/command.ts';
import { injectManifests } from '#cli/inject/manifests.ts';
import { Failure } from '#core/program/failure.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { deploymentKind } from '#objects/deployment.ts';
import { SETTINGS } from '#test/injector/golden-case.ts';
import { MemoryApi } from '#test/injector/memory-api.ts';

const ROOTS = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const options = { namespace: 'default', settings: SETTINGS, hookToken: () => 'TOKEN', limitsOf: () => NO_LIMITS };
const SPEC = 'spec: { containers: [ { name: app, image: "app:1" } ] }';

type Value = Record<string, never> & { spec: { template: { spec: { initContainers: { name: string }[] } } } };

function injected(text: string): { values: Value[]; text: string; report: string[] } {
  const { text: out, entries, others } = injectManifests(text, 'in.yaml', options);
  return {
    values: parseAllDocuments(out).map((document) => document.toJS()),
    text: out,
    report: [...entries.map(({ object, outcome, message }) => `${object}: ${outcome}${message && `: ${message}`}`), `${others} others`],
  };
}

describe('weft inject: manifests', () => {
  it('finds the pods of every kind of workload', () => {
    const template = `spec: { template: { ${SPEC} } }`;
    const kinds = [
      ['apps/v1', 'Deployment', template],
      ['apps/v1', 'StatefulSet', template],
      ['apps/v1', 'DaemonSet', template],
      ['apps/v1', 'ReplicaSet', template],
      ['v1', 'ReplicationController', template],
      ['batch/v1', 'Job', template],
      ['batch/v1', 'CronJob', `spec: { jobTemplate: { ${template} } }`],
      ['v1', 'Pod', SPEC],
    ];
    for (const [apiVersion, kind, body] of kinds) {
      const { text, report } = injected(`apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: web, namespace: shop }\n${body}\n`);
      expect(report).to.deep.equal([`${kind} shop/web: injected`, '0 others']);
      expect(text.match(/name: weft-proxy/g), kind).to.have.length(1);
      // What came out goes in again unchanged, octet by octet.
      expect(injected(text).text).to.equal(text);
    }
  });

  it('goes through lists, and passes on what has no pods', () => {
    const list = (items: string) => `apiVersion: v1\nkind: List\nitems:\n${items}`;
    const pod = `- { apiVersion: v1, kind: Pod, metadata: { name: a }, ${SPEC} }\n`;
    const { values, report } = injected(
      `${list(`${pod}- { apiVersion: v1, kind: Service, metadata: { name: s } }\n${pod}`)}---\nkind: Odd\n`,
    );
    expect(report).to.deep.equal(['Pod default/a: injected', 'Pod default/a: injected', '2 others']);
    const { items } = values[0] as never as { items: { spec?: { initContainers: unknown[] } }[] };
    expect(items.map(({ spec }) => spec?.initContainers.length)).to.deep.equal([1, undefined, 1]);
    expect(values[1]).to.deep.equal({ kind: 'Odd' });
  });

  it('fits sidecars to the LimitRanges and ResourceQuotas that stand in the same text', () => {
    const range =
      'apiVersion: v1\nkind: LimitRange\nmetadata: { name: l }\nspec: { limits: [ { type: Container, min: { cpu: 300m } } ] }\n';
    const quota = 'apiVersion: v1\nkind: ResourceQuota\nmetadata: { name: q, namespace: shop }\nspec: { hard: { limits.memory: 1Gi } }\n';
    const pod = (namespace: string) => `apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: ${namespace} }\n${SPEC}\n`;
    const { values } = injected([range, quota, pod('default'), pod('shop'), pod('other')].join('---\n'));
    const resources = values
      .slice(2)
      .map(({ spec }) => (spec as never as { initContainers: { resources?: object }[] }).initContainers[0].resources);
    expect(resources).to.deep.equal([
      { requests: { cpu: '300m' } },
      { requests: { memory: '64Mi' }, limits: { memory: '128Mi' } },
      undefined,
    ]);
  });

  it('keeps comments, and texts without workloads to the octet', () => {
    const before = '# top\n\napiVersion: v1\nkind:   Service # odd spaces\n---\n# two\nkind: X\n...\n';
    expect(injected(before).text).to.equal(before);
    for (const empty of ['', '# nothing\n', '---\n---\n']) expect(injected(empty).text).to.equal(empty);
    const { text } = injected(
      `# top\n${before}---\n# a pod\napiVersion: v1\nkind: Pod # kind\nmetadata:\n  name: a # name\nspec:\n  # why\n  containers:\n    - name: app # first\n`,
    );
    for (const comment of ['# top', '# odd spaces', '# two', '# a pod', '# kind', '# name', '# why', '# first'])
      expect(text).to.include(comment);
    expect(parseAllDocuments(text)).to.have.length(3);
  });

  it('quotes words that kubectl would read as booleans', () => {
    const { text } = injected(`apiVersion: v1\nkind: Pod\nmetadata: { name: a, annotations: { weft.dev/log-level: "off" } }\n${SPEC}\n`);
    expect(text).to.match(/name: WEFT_LOG_LEVEL,?\s+value: "off"/);
  });

  it('leaves scalars as kubectl reads them', () => {
    const volumes = 'volumes: [ { name: keys, secret: { secretName: k, defaultMode: 0400 } } ]';
    const env = 'env: [ { name: A, value: "0400" }, { name: B, value: "1_000" }, { name: C, value: "yes" }, { name: D, value: "0b11" } ]';
    const flags = 'stdin: yes, tty: off, ports: [ { containerPort: 8_080 } ]';
    for (const anchor of ['', '&a ']) {
      const alias = anchor === '' ? '{ app: a }' : '*a';
      const meta = `metadata: { name: a, labels: ${anchor}{ app: a }, annotations: ${alias} }`;
      const { text } = injected(
        `apiVersion: v1\nkind: Pod\n${meta}\nspec: { containers: [ { name: app, image: "app:1", ${flags}, ${env} } ], ${volumes} }\n`,
      );
      const pod = parseAllDocuments(text, { version: '1.1' })[0].toJS();
      expect(pod.spec.volumes[0].secret.defaultMode, text).to.equal(0o400);
      expect(pod.spec.containers[0]).to.deep.include({ stdin: true, tty: false, ports: [{ containerPort: 8080 }] });
      expect(pod.spec.containers[0].env.map(({ value }: { value: string }) => value)).to.deep.equal(['0400', '1_000', 'yes', '0b11']);
    }
  });

  it('leaves JSON as JSON, also several documents in one stream: kubectl reads what begins with a brace as nothing else', () => {
    const pod = (name: string) =>
      JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [{ name: 'app', image: 'app:1' }] } });
    expect(JSON.parse(injected(pod('a')).text).spec.initContainers[0].name).to.equal('weft-proxy');
    const { text, report } = injected(`${pod('a')}\n${pod('b')}\n{"kind":"Odd"}\n`);
    expect(report).to.deep.equal(['Pod default/a: injected', 'Pod default/b: injected', '1 others']);
    // The separators make it a stream of YAML, of whose documents each is JSON.
    const documents = text.split(/^---\n/m);
    expect(documents.shift()).to.equal('');
    expect(documents.map((document) => JSON.parse(document).kind)).to.deep.equal(['Pod', 'Pod', 'Odd']);
  });

  it('refuses what is nested too deeply, or grows by its anchors', () => {
    expect(() => injected(`a: ${'['.repeat(5000)}`)).to.throw(Failure, 'in.yaml:1:');
    const lines = Array.from(
      { length: 20 },
      (_, i) =>
        `a${i}: &a${i} [${
          i === 0
            ? 'x'
            : Array(10)
                .fill(`*a${i - 1}`)
                .join(', ')
        }]`,
    );
    expect(() => injected(lines.join('\n'))).to.throw(Failure, 'in.yaml:1:1: cannot be read as YAML: more than 1000 uses of anchors');
  });

  it('changes one of two places that share an anchor', () => {
    const { values } = injected(
      `apiVersion: v1\nkind: Pod\nmetadata: { name: a, labels: &l { app: a } }\nspec:\n  containers:\n  - &c { name: a, livenessProbe: &p { httpGet: { port: 80 } } }\n  - { <<: *c, name: b }\n`,
    );
    const { containers } = (
      values[0] as never as { spec: { containers: { name: string; livenessProbe: { httpGet: { path: string } } }[] } }
    ).spec;
    expect(containers.map(({ name, livenessProbe }) => `${name} ${livenessProbe.httpGet.path}`)).to.deep.equal([
      'a /probe/a/liveness',
      'b /probe/b/liveness',
    ]);
  });

  it('knows the namespaces of the same text', () => {
    const namespace = (labels: string) =>
      `kind: Namespace\nmetadata: { name: shop, labels: ${labels}, annotations: { weft.dev/drain-seconds: "7" } }\n---\n`;
    const pod = `apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: shop }\n${SPEC}\n`;
    expect(injected(namespace('{}') + pod).text).to.match(/WEFT_DRAIN_SECONDS,?\s+value: "7"/);
    expect(injected(namespace('{ weft.dev/inject: disabled }') + pod).report[0]).to.match(
      /^Pod shop\/a: skipped: the namespace shop has the label/,
    );
  });

  it('says what cannot be injected', () => {
    expect(injected('apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\n').report[0]).to.equal(
      'Deployment default/a: failed: spec.template: the pod must be an object',
    );
    expect(injected('apiVersion: v1\nkind: Pod\nspec: { containers: [ {} ] }\n').report[0]).to.equal(
      'Pod default/(without a name): failed: spec.containers[0].name must be a string',
    );
    expect(() => injected('a: [\n')).to.throw(/^in\.yaml:2:1: /);
    expect(() => injected('a: 1\na: 2\n')).to.throw(/^in\.yaml:2:1: /);
  });
});

describe('weft inject: the command', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-inject-'));
  const file = path.join(dir, 'pod.yaml');
  const roots = path.join(dir, 'roots.pem');
  const pod = (labels = '{}') => `apiVersion: v1\nkind: Pod\nmetadata: { name: a, labels: ${labels} }\n${SPEC}\n`;
  let api: MemoryApi;

  before(() => {
    fs.writeFileSync(file, pod());
    fs.writeFileSync(roots, ROOTS);
  });

  beforeEach(() => {
    api = new MemoryApi();
  });

  after(() => fs.rmSync(dir, { recursive: true }));

  async function weft(words: string[], stdin = ''): Promise<{ out: string; err: string; error?: Error }> {
    const said = { out: '', err: '' };
    const into = (where: 'out' | 'err') =>
      new Writable({
        write(chunk, _, done) {
          said[where] += chunk;
          done();
        },
      });
    const command = injectCommand(
      { stdout: into('out'), stderr: into('err'), env: {} },
      { stdin: async () => stdin, connect: async () => api },
    );
    try {
      await command.exitOverride().parseAsync(words, { from: 'user' });
      return said;
    } catch (error) {
      return { ...said, error: error as Error };
    }
  }

  it('needs no cluster when all is given', async () => {
    const { out, err } = await weft(['-f', file, '-f', '-', '--image', 'weft:9', '--trust-roots', roots, '-n', 'shop'], pod());
    expect(err).to.equal('Pod shop/a: injected\nPod shop/a: injected\n');
    expect(out.match(/image: weft:9/g)).to.have.length(2);
    expect(parseAllDocuments(out)).to.have.length(2);
    expect(api.requests).to.deep.equal([]);
  });

  it('fits sidecars to the LimitRanges of the cluster, and says so where it may not read them', async () => {
    api.put({ kind: KINDS.ConfigMap, namespace: 'weft-system', name: 'weft-trust' }, { data: { 'roots.pem': ROOTS } });
    api.put(
      { kind: deploymentKind, namespace: 'weft-system', name: 'weft-injector' },
      { spec: { template: { spec: { containers: [] } } } },
    );
    const limits = [{ type: 'Container', min: { cpu: '300m' } }];
    api.put({ kind: KINDS.LimitRange, name: 'l' }, { metadata: { namespace: 'default' }, spec: { limits } });
    const words = ['-f', file, '--image', 'mine:1'];
    const fitted = await weft(words);
    expect(fitted.out).to.match(/cpu: 300m/);
    expect(fitted.err).to.equal('Pod default/a: injected\n');

    const { request } = api;
    api.request = <T>(...asked: Parameters<typeof request>): Promise<T> => {
      const [, at] = asked;
      if (typeof at !== 'string' && at.kind === KINDS.LimitRange) throw new KubeError('limitranges is forbidden', 403, 'Forbidden');
      return request.apply(api, asked) as Promise<T>;
    };
    const blind = await weft(words);
    expect(blind.out).to.include('image: mine:1').and.not.include('300m');
    expect(blind.err).to.include("not fitted to all limits of the cluster's namespaces: limitranges is forbidden");
  });

  it('asks the cluster for the rest', async () => {
    api.put({ kind: KINDS.ConfigMap, namespace: 'weft-system', name: 'weft-trust' }, { data: { 'roots.pem': ROOTS } });
    const env = [
      { name: 'WEFT_IMAGE', value: 'registry/weft:2' },
      { name: 'WEFT_DRAIN_SECONDS', value: '3' },
      // As the API server stores an empty value: no default in its place.
      { name: 'WEFT_OPAQUE_PORTS' },
      { name: 'WEFT_POD_NAME', valueFrom: {} },
    ];
    api.put(
      { kind: deploymentKind, namespace: 'weft-system', name: 'weft-injector' },
      { spec: { template: { spec: { containers: [{ env }] } } } },
    );
    const { out } = await weft(['-f', file]);
    expect(out)
      .to.include('image: registry/weft:2')
      .and.to.match(/WEFT_DRAIN_SECONDS,?\s+value: "3"/);
    expect(out).to.include('BEGIN CERTIFICATE').and.not.include('WEFT_OPAQUE_PORTS');
    expect((await weft(['-f', file, '--image', 'mine:1'])).out)
      .to.include('image: mine:1')
      .and.to.match(/WEFT_DRAIN_SECONDS,?\s+value: "3"/);
  });

  it('puts separators between JSON manifests of several files', async () => {
    const odd = '{"kind":"Odd"}';
    const { out } = await weft(['-f', '-', '-f', file, '--image', 'weft:9', '--trust-roots', roots], odd);
    expect(out).to.match(/^---\n\{"kind":"Odd"\}\n---\napiVersion: v1\n/);
  });

  it('says how to do without a cluster', async () => {
    const { out, error } = await weft(['-f', file]);
    expect(out).to.equal('');
    expect(error?.message).to.match(/cannot read Weft's settings from the cluster: not found\ngive --image and --trust-roots FILE/);
  });

  it('writes nothing when one workload cannot be injected', async () => {
    const bad = 'apiVersion: v1\nkind: Pod\nmetadata: { name: b }\nspec: { securityContext: { runAsUser: 2102 }, containers: [] }\n';
    const { out, err, error } = await weft(['-f', '-', '--image', 'weft:9', '--trust-roots', roots], `${pod()}---\n${bad}`);
    expect(out).to.equal('');
    expect(err).to.include('Pod default/a: injected').and.to.include('Pod default/b: cannot be injected: spec.securityContext.runAsUser');
    expect(error?.message).to.equal('1 of 2 workloads cannot be injected; nothing was written');
  });

  it('refuses wrong usage', async () => {
    const given = ['--image', 'weft:9', '--trust-roots', roots];
    expect((await weft([])).error?.message).to.include('-f FILE');
    expect((await weft(['-f', '-', '-f', '-', ...given])).error?.message).to.include('stdin');
    expect((await weft(['-f', path.join(dir, 'none'), ...given])).error?.message).to.match(/-f .*none: ENOENT/);
    expect((await weft(['-f', file, '--image', 'weft:9', '--trust-roots', file])).error?.message).to.include('holds no PEM certificate');
    expect((await weft(['-f', file, '--image', 'not an image', '--trust-roots', roots])).error?.message).to.match(/^--image: /);
  });
});
