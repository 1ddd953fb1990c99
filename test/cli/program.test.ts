// The `weft` command itself: exit codes, help, suggestions for verbs that do not exist.
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { runProgram } from '#cli/program.ts';
import { VERSION } from '#core/contract/version.ts';

async function weft(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const into = (where: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        said[where] += chunk;
        done();
      },
    });
  const code = await runProgram(words, { stdout: into('out'), stderr: into('err'), env: {} });
  return { code, ...said };
}

describe('weft', () => {
  it('says its version', async () => {
    expect(await weft('--version')).to.deep.equal({ code: 0, out: `${VERSION}\n`, err: '' });
    expect((await weft('version')).out).to.equal(`weft ${VERSION}, Node ${process.versions.node}\n`);
    expect(JSON.parse((await weft('version', '-o', 'json')).out)).to.deep.equal({ weft: VERSION, node: process.versions.node });
  });

  it('helps with code 0 when asked, and with code 2 when no verb was given', async () => {
    for (const words of [['--help'], ['help'], ['help', 'explain'], ['explain', '--help']]) {
      const { code, out } = await weft(...words);
      expect(code, words.join(' ')).to.equal(0);
      expect(out).to.match(/^Usage: weft/);
    }
    const nothing = await weft();
    expect(nothing).to.include({ code: 2, out: '' });
    expect(nothing.err).to.match(/^Usage: weft/);
  });

  it('suggests the verb and the option that were perhaps meant, with code 2', async () => {
    expect(await weft('exlpain')).to.deep.include({ code: 2, out: '', err: "error: unknown command 'exlpain'\n(Did you mean explain?)\n" });
    const option = await weft('explain', '.', '--form', 'shop');
    expect(option.code).to.equal(2);
    expect(option.err).to.match(/unknown option '--form'\n\(Did you mean --from\?\)/);
    expect((await weft('explain')).code).to.equal(2);
    const missing = await weft('explain', '.', '--to', 'payment');
    expect(missing).to.deep.equal({
      code: 2,
      out: '',
      err: 'weft: explain needs --from, --method or --path too; see weft explain --help\n',
    });
    expect((await weft('explain', '.', '-o', 'xml')).code).to.equal(2);
  });

  it('ends with 2 for wrong usage and with 1 for what is not there, one line each', async () => {
    const usual = ['--to', 'payment', '--method', 'a.S/Get'];
    const wrong = await weft('explain', '.', '--from', 'a/b/c', ...usual);
    expect(wrong).to.include({ code: 2, out: '' });
    expect(wrong.err).to.match(/^weft: --from "a\/b\/c" is neither .*\n$/);
    const missing = await weft('explain', '/nowhere/at/all', '--from', 'shop', ...usual);
    expect(missing).to.deep.equal({ code: 1, out: '', err: 'weft: there is no directory /nowhere/at/all\n' });
  });
});
