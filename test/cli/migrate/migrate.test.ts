// `weft migrate`: goldens of what it makes of Ingresses and of Istio's objects, and the command line.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { migrateCommand } from '#cli/migrate/command.ts';
import { writeDrafts } from '#cli/migrate/draft.ts';
import { migrate, reportOf } from '#cli/migrate/migrate.ts';
import { Failure } from '#core/program/failure.ts';
import { readDocuments } from '#objects/yaml/documents.ts';

const DIRECTORY = path.join(import.meta.dirname, '..', '..', 'golden', 'migrate');
const CASES = readdirSync(DIRECTORY).flatMap((file) => /^(.*)\.in\.yaml$/.exec(file)?.[1] ?? []);

function read(file: string): unknown[] {
  return readDocuments(readFileSync(path.join(DIRECTORY, file), 'utf8')).map((document) => {
    if (document.state !== 'good') throw new Error(`${file} has a document that is ${document.state}`);
    return document.value;
  });
}

function sink(): { stream: Writable; text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream, text: () => text };
}

async function run(stdin: string, ...words: string[]): Promise<{ out: string; err: string }> {
  const [out, err] = [sink(), sink()];
  const command = migrateCommand({ stdout: out.stream, stderr: err.stream } as never, async () => stdin).exitOverride();
  await command.parseAsync(words, { from: 'user' });
  return { out: out.text(), err: err.text() };
}

describe('weft migrate', () => {
  for (const name of CASES) {
    it(`makes what the golden says: ${name}`, () => {
      const made = writeDrafts(migrate(read(`${name}.in.yaml`), 'default', 'weft').drafts);
      const file = path.join(DIRECTORY, `${name}.out.yaml`);
      if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, made);
      expect(made).to.equal(readFileSync(file, 'utf8'));
    });

    it(`writes each route's rule with a condition where the old one had one: ${name}`, () => {
      for (const { object } of migrate(read(`${name}.in.yaml`), 'default', 'weft').drafts) {
        const rules = (object?.spec as { rules?: { matches?: unknown[] }[] } | undefined)?.rules ?? [];
        for (const { matches } of rules) expect(matches ?? 'all').to.not.deep.equal([]);
      }
    });
  }

  it('reports what became of what, and passes over the rest', () => {
    const migration = migrate(read('IngressShop.in.yaml'), 'default', 'weft');
    const report = reportOf(migration);
    expect(report).to.match(/^Ingress shop\/shop, Ingress shop\/api: Gateway shop\/nginx$/m);
    expect(report).to.match(/^ {2}left out: nginx\.ingress\.kubernetes\.io\/limit-rps: "20": the Gateway API has no rate limit$/m);
    expect(report).to.match(/^1 other object passed over$/m);
  });

  it('writes YAML to stdout and the report to stderr', async () => {
    const { out, err } = await run(
      readFileSync(path.join(DIRECTORY, 'IngressCanary.in.yaml'), 'utf8'),
      '-f',
      '-',
      '--gateway-class',
      'other',
    );
    expect(out).to.include('gatewayClassName: other');
    expect(err).to.include('Ingress shop/web, Ingress shop/web-canary: HTTPRoute shop/web');
  });

  it('says when there is nothing to migrate', async () => {
    const { out, err } = await run('apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n', '-f', '-');
    expect(out).to.equal('');
    expect(err).to.match(/^nothing to migrate: no Ingress/);
  });

  it('names the place of a mistake in YAML, and writes nothing', async () => {
    await run('kind: [', '-f', '-').then(
      () => expect.fail('it took it'),
      (error: Error) => {
        expect(error).to.be.instanceOf(Failure);
        expect(error.message).to.match(/^stdin:1:\d+: /);
      },
    );
  });

  it('asks the very Service of a destination what it speaks, not one whose name begins likewise', () => {
    const route = [{ destination: { host: 'payment', port: { number: 80 } } }];
    const values = [
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'pay' }, spec: { ports: [{ name: 'grpc', port: 80 }] } },
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'a' },
        spec: { hosts: ['payment'], http: [{ route }] },
      },
    ];
    expect(migrate(values, 'default', 'weft').drafts.map(({ object }) => object?.kind)).to.deep.equal(['HTTPRoute']);
  });

  it('takes objects whose parts are anything', () => {
    const odd = [null, 1, 'x', [], {}, { spec: 1 }];
    for (const kind of ['Ingress', 'VirtualService', 'DestinationRule', 'Gateway']) {
      const apiVersion = kind === 'Ingress' ? 'networking.k8s.io/v1' : 'networking.istio.io/v1';
      for (const value of odd) {
        for (const field of ['rules', 'tls', 'http', 'hosts', 'servers', 'subsets', 'tcp', 'defaultBackend', 'trafficPolicy'])
          writeDrafts(
            migrate(
              [
                { apiVersion, kind, metadata: { name: 'a' }, spec: { [field]: value } },
                { apiVersion, kind, spec: { [field]: [value] } },
              ],
              'default',
              'weft',
            ).drafts,
          );
      }
    }
  });
});
