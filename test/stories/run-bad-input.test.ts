// `weft run` with what cannot work: each mistake is said with its place, before anything runs.
import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { runProgram } from '#cli/program.ts';
import { run } from '#cli/run/run.ts';
import { Failure } from '#core/program/failure.ts';

const deployment = (name: string, container: object) =>
  `${JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', ...container }] } },
    },
  })}\n`;

describe('weft run, given what cannot work,', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'weft-run-story-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** The message of the Failure that a run of `files` ends with. */
  async function failure(files: Record<string, string>, directory = dir): Promise<string> {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    const options = {
      directory,
      forMs: 100,
      report: 'json',
      view: true,
      otlp: null,
      logLevel: 'off',
      sidecarProgram: import.meta.filename,
    } as const;
    const outcome = await run(options, { stdout, stderr, env: { PATH: process.env.PATH }, signals: new EventEmitter() }).catch(
      (error: unknown) => error,
    );
    expect(outcome).to.be.instanceOf(Failure);
    expect(stdout.read(), 'standard output').to.equal(null);
    return (outcome as Failure).message;
  }

  it('says that the directory is not there, or is a file', async () => {
    expect(await failure({}, join(dir, 'gone'))).to.include(`there is no directory ${join(dir, 'gone')}`);
    expect(await failure({ 'a.yaml': '' }, join(dir, 'a.yaml'))).to.include('is a file');
  });

  it('says that there are no manifests, or where they are broken', async () => {
    expect(await failure({ 'readme.txt': 'hello' })).to.include(`there are no manifests in ${dir}`);
    expect(await failure({ 'a.yaml': 'kind: Service\nmetadata: {name: x\n' })).to.match(/a\.yaml:\d+:\d+/);
  });

  it('says that there is nothing to run', async () => {
    const message = await failure({ 'a.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n' });
    expect(message).to.include('there are no pods to run').and.include('Deployment or a Pod');
    const image = await failure({ 'a.json': deployment('image', { image: 'nginx' }) });
    expect(image).to.include('Deployment shop/image has no command for container main');
  });

  it('names a command that does not exist, with the manifest’s file', async () => {
    const message = await failure({
      'a.json': deployment('a', { command: ['no-such-program'] }),
      'b.json': deployment('b', { command: ['node', 'gone.mjs'] }),
    });
    expect(message).to.include('Deployment shop/a, container main: there is no command no-such-program on the PATH').and.include('a.json');
    expect(message).to.include(`Deployment shop/b, container main: there is no file ${join(dir, 'gone.mjs')}`);
  });

  it('names two containers on one port', async () => {
    const two = JSON.parse(deployment('two', {}));
    two.spec.template.spec.containers = ['left', 'right'].map((name) => ({
      name,
      command: ['sleep', '60'],
      ports: [{ containerPort: 8080 }],
    }));
    expect(await failure({ 'a.json': JSON.stringify(two) })).to.include('containers left and right are both on port 8080');
  });

  it('names the program that holds a port', async function () {
    if (process.platform !== 'linux') this.skip();
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const message = await failure({ 'a.json': deployment('a', { command: ['sleep', '60'], ports: [{ containerPort: port }] }) });
    expect(message).to.include(`Deployment shop/a needs port ${port}, which is taken on all addresses by process ${process.pid} (`);
    server.close();
  });

  it('leaves no temporary directory behind', async () => {
    const before = process.env.TMPDIR;
    const own = join(dir, 'tmp');
    mkdirSync(own);
    process.env.TMPDIR = own;
    try {
      await failure({ 'a.json': deployment('a', { command: ['no-such-program'] }) });
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    expect(readdirSync(own)).to.deep.equal([]);
  });

  it('ends with code 2 for wrong words, and with 0 for help', async () => {
    const words = async (...args: string[]) => {
      const stderr = new PassThrough();
      const stdout = new PassThrough();
      const code = await runProgram(args, { stdout, stderr, env: {} });
      return { code, said: String(stderr.read() ?? ''), out: String(stdout.read() ?? '') };
    };
    expect((await words('run')).code).to.equal(2);
    expect(await words('run', dir, '--for', 'soon'))
      .to.deep.include({ code: 2 })
      .and.have.property('said')
      .that.includes('duration such as 20s');
    expect((await words('run', dir, '--report', 'xml')).code).to.equal(2);
    expect((await words('run', dir, '--log-level', 'loud')).code).to.equal(2);
    expect((await words('run', dir, '--no-viev')).said).to.include('--no-view');
    const help = await words('run', '--help');
    expect(help).to.include({ code: 0 });
    expect(help.out).to.include('NAME_SERVICE_HOST');
  });
});
