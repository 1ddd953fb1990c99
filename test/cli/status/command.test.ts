// `weft check` and `weft status` as commands where there is no cluster: exit codes, reasons, wrong words.
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { runProgram } from '#cli/program.ts';

async function weft(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const into = (where: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        said[where] += chunk;
        done();
      },
    });
  const code = await runProgram(words, { stdout: into('out'), stderr: into('err'), env: { KUBECONFIG: '/nowhere/kubeconfig' } });
  return { code, ...said };
}

describe('weft check and weft status without a cluster', () => {
  it('lets check fail with the reason, on a terminal and for programs', async () => {
    const table = await weft('check');
    expect(table).to.include({ code: 1, err: 'weft: 1 of 7 checks failed\n' });
    expect(table.out).to.match(/failed +there is no cluster to ask\n +.*\/nowhere\/kubeconfig.*\n +→ /);
    expect(table.out).to.match(/0 ok, 6 skipped, 1 failed\n$/);
    const json = await weft('check', '-o', 'json');
    expect(json.code).to.equal(1);
    const { ok, checks } = JSON.parse(json.out);
    expect(ok).to.equal(false);
    expect(checks[0]).to.deep.include({ category: 'Kubernetes', id: 'api-server', state: 'failed' });
  });

  it('takes the file on the command line rather than the one in the environment', async () => {
    expect((await weft('check', '--kubeconfig', '/nowhere/else')).out).to.include('/nowhere/else');
  });

  it('lets status say why in one line', async () => {
    const { code, out, err } = await weft('status');
    expect([code, out]).to.deep.equal([1, '']);
    expect(err).to.match(/^weft: .*\/nowhere\/kubeconfig.*\n$/);
  });

  it('refuses unknown arguments and formats', async () => {
    expect(await weft('status', 'pods')).to.include({ code: 2, out: '' });
    expect((await weft('status', '-o', 'yaml')).code).to.equal(2);
    expect((await weft('check', '--contxt', 'a')).err).to.include('Did you mean --context?');
  });
});
