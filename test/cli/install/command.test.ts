// `weft install` as a person meets it: product on stdout, talk on stderr, exit codes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { parseAllDocuments } from 'yaml';
import { runProgram } from '#cli/program.ts';

async function install(words: string[], isTTY = false): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const into = (where: 'out' | 'err') =>
    Object.assign(
      new Writable({
        write(chunk, _, done) {
          said[where] += chunk;
          done();
        },
      }),
      { isTTY },
    );
  const code = await runProgram(['install', ...words], { stdout: into('out'), stderr: into('err'), env: {} });
  return { code, ...said };
}

interface Printed {
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
}

describe('weft install', () => {
  it('prints documents, and nothing else where no person reads', async () => {
    const { code, out, err } = await install([]);
    expect({ code, err }).to.deep.equal({ code: 0, err: '' });
    const kinds = parseAllDocuments(out).map((document) => document.toJS().kind);
    expect(kinds.slice(0, 2)).to.deep.equal(['Namespace', 'ServiceAccount']);
    expect(kinds.at(-1)).to.equal('MutatingWebhookConfiguration');
    expect(out).to.equal((await install([])).out);
  });

  it('tells a person at a terminal that nothing was installed', async () => {
    const { code, err } = await install(['--ha'], true);
    expect(code).to.equal(0);
    expect(err).to.equal('weft: nothing was installed; pipe this to kubectl: weft install … | kubectl apply -f -\n');
  });

  it('refuses what would keep the injector from starting', async () => {
    for (const [words, what] of [
      ['sidecar.opaquePorts={9-5}', /WEFT_OPAQUE_PORTS: "9-5": .*did you mean "5-9"\?/],
      ['image.repository=a b', /WEFT_IMAGE: "a b:/],
      ['sidecar.resources.requests.cpu=2,sidecar.resources.limits.cpu=500m', /2 is more than 500m/],
    ] as const) {
      const { code, out, err } = await install(['--set', words]);
      expect({ code, out }).to.deep.equal({ code: 2, out: '' });
      expect(err)
        .to.match(/^weft: the injector would refuse to start:\n {2}/)
        .and.to.match(what);
    }
  });

  it('labels all that only --ha makes, so that the command in its help deletes it', async () => {
    const objects = async (words: string[]) => parseAllDocuments((await install(words)).out).map((document) => document.toJS() as Printed);
    const usual = new Set((await objects([])).map(({ kind, metadata }) => `${kind}/${metadata.name}`));
    const more = (await objects(['--ha'])).filter(({ kind, metadata }) => !usual.has(`${kind}/${metadata.name}`));
    expect(more.length).to.be.greaterThan(0);
    for (const { kind, metadata } of more) {
      expect(kind).to.equal('PodDisruptionBudget');
      expect(metadata.namespace).to.equal('weft-system');
      expect(metadata.labels?.['app.kubernetes.io/part-of']).to.equal('weft');
    }
  });

  it('takes files and sets', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-install-'));
    try {
      const file = path.join(directory, 'values.yaml');
      writeFileSync(file, 'image: { repository: registry.example/weft, tag: a }\n');
      const { out } = await install(['-f', file, '--set', 'image.tag=b', '--set', 'pdb.enabled=true']);
      expect(out.match(/registry\.example\/weft:b/g)).to.have.length(3);
      expect(out).to.include('kind: PodDisruptionBudget');
      writeFileSync(file, 'image: {repo: x}\n');
      expect(await install(['-f', file])).to.deep.equal({
        code: 2,
        out: '',
        err: 'weft: there is no value image.repo, did you mean "image.repository"?\n',
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('ends with 2 for wrong values and with 1 for a file that is not there', async () => {
    const wrong = await install(['--set', 'controlPlane.replicas=two']);
    expect(wrong).to.deep.equal({ code: 2, out: '', err: 'weft: controlPlane.replicas must be an integer, not "two"\n' });
    expect(await install(['-f', '/nowhere'])).to.deep.equal({ code: 1, out: '', err: 'weft: there is no file /nowhere\n' });
  });
});
