// A real directory that changes: saved, renamed, broken, vanished and reappearing files.
import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { DirectoryError, DirectorySource } from '#control-plane/source/files/directory-source.ts';
import { formatProblem } from '#control-plane/source/files/problem.ts';
import { silentLogger } from '#core/program/log.ts';

const service = (name: string, port = 80) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;

describe('control-plane/source: directory source', () => {
  let dir: string;
  let source: DirectorySource;
  let changes: number;
  let wake: () => void;

  const show = (): string[] =>
    source.objects().map(({ object }) => {
      const ports = (object.spec as { ports?: { port: number }[] } | undefined)?.ports;
      return `${object.kind} ${object.metadata.name}${ports ? ` ${ports[0]!.port}` : ''}`;
    });
  const problems = (): string[] => source.problems().map((problem) => formatProblem(problem).replaceAll(`${dir}/`, ''));

  /** Waits until the condition holds; the test's own time limit is the only clock. */
  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (wake = resolve));
  }

  const write = (name: string, text: string | Uint8Array) => fs.writeFile(join(dir, name), text);

  async function start(): Promise<void> {
    source = new DirectorySource({
      dir,
      log: silentLogger,
      onChange: () => {
        changes++;
        wake();
      },
    });
    await source.start();
  }

  beforeEach(async () => {
    dir = await fs.mkdtemp(join(tmpdir(), 'weft-files-'));
    changes = 0;
    wake = () => {};
  });

  afterEach(async () => {
    source?.stop();
    await fs.rm(dir, { recursive: true, force: true });
  });

  it('reads all manifests below the directory, and nothing else', async () => {
    await fs.mkdir(join(dir, 'deep/er'), { recursive: true });
    await fs.mkdir(join(dir, 'node_modules'));
    await write('a.yaml', service('a'));
    await write('deep/er/b.yml', service('b'));
    await write('deep/c.json', JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'c' } }));
    for (const other of ['.hidden.yaml', 'd.yaml~', 'notes.txt', 'node_modules/e.yaml', 'd.yaml.bak']) await write(other, service('no'));
    await fs.symlink(dir, join(dir, 'deep/loop'));
    await start();
    expect(show()).to.deep.equal(['Service a 80', 'Service b 80', 'Service c']);
    expect(problems()).to.deep.equal([]);
    expect(changes).to.equal(0);
  });

  it('says each ignored kind once', async () => {
    await write(
      'a.yaml',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\n',
    );
    await write(
      'b.yaml',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\n---\napiVersion: v1\nkind: Servcie\nmetadata: {name: z}\n',
    );
    await start();
    expect(problems()).to.deep.equal([
      'a.yaml:1:1: Weft does not read ConfigMap (v1): ignored, here and elsewhere',
      'b.yaml:5:1: Weft does not read Servcie (v1): ignored, here and elsewhere, did you mean "Service"?',
    ]);
  });

  it('names the apiVersion of a kind', async () => {
    const kind = (apiVersion: string) => `apiVersion: ${apiVersion}\nkind: GRPCRoute\nmetadata: {name: x}\n`;
    await write('a.yaml', ['v1', 'gateway.networking.k8s/v1', 'example.com/v1'].map(kind).join('---\n'));
    await start();
    expect(problems()).to.deep.equal([
      'a.yaml:1:1: Weft does not read GRPCRoute (v1): ignored, here and elsewhere, did you mean apiVersion: gateway.networking.k8s.io/v1?',
      'a.yaml:5:1: Weft does not read GRPCRoute (gateway.networking.k8s/v1): ignored, here and elsewhere, did you mean "gateway.networking.k8s.io/v1"?',
      'a.yaml:9:1: Weft does not read GRPCRoute (example.com/v1): ignored, here and elsewhere',
    ]);
  });

  it('follows a file that is written in place, by rename, and newly made', async () => {
    await write('a.yaml', service('a'));
    await start();
    await write('a.yaml', service('a', 81));
    await until(() => show().includes('Service a 81'));
    await write('.a.tmp', service('a', 82));
    await fs.rename(join(dir, '.a.tmp'), join(dir, 'a.yaml'));
    await until(() => show().includes('Service a 82'));
    expect(source.objects()[0]!.object.metadata.generation).to.equal(3);
    await write('b.yaml', service('b'));
    await until(() => show().includes('Service b 80'));
  });

  it('never shows an object missing while an editor replaces its file', async () => {
    await write('a.yaml', service('a'));
    await start();
    let missing = 0;
    const timer = setInterval(() => {
      if (show().length === 0) missing++;
    }, 1);
    for (let port = 1; port <= 10; port++) {
      // As vim does it: the old file becomes a backup, the new one is written, the backup goes.
      await fs.rename(join(dir, 'a.yaml'), join(dir, 'a.yaml~'));
      await new Promise((resolve) => setTimeout(resolve, 15));
      await write('a.yaml', '');
      await new Promise((resolve) => setTimeout(resolve, 15));
      await write('a.yaml', service('a', port));
      await fs.rm(join(dir, 'a.yaml~'));
      await until(() => show().includes(`Service a ${port}`));
    }
    clearInterval(timer);
    expect(missing).to.equal(0);
  });

  it('keeps the last good version of a broken file, says so, and recovers', async () => {
    await write('a.yaml', service('a'));
    await write('b.yaml', service('b'));
    await start();
    await write('a.yaml', 'apiVersion: v1\nkind: "Service\n');
    await until(() => problems().length > 0);
    expect(show()).to.deep.equal(['Service a 80', 'Service b 80']);
    expect(problems()).to.deep.equal([
      'a.yaml: the last good Service default/a stays in force',
      'a.yaml:2:7: the quote that opens here is never closed (looked for it up to line 3)',
    ]);
    await write('b.yaml', service('b', 81));
    await until(() => show().includes('Service b 81'));
    await write('a.yaml', service('a', 82));
    await until(() => show().includes('Service a 82'));
    expect(problems()).to.deep.equal([]);
  });

  it('reports files that are no text or too large and keeps what they gave', async () => {
    await write('a.yaml', service('a'));
    await start();
    await write('a.yaml', Uint8Array.of(0x61, 0xff, 0xfe));
    await until(() => problems().length > 0);
    expect(problems()).to.deep.equal(['a.yaml: is not text in UTF-8', 'a.yaml: the last good Service default/a stays in force']);
    await fs.truncate(join(dir, 'a.yaml'), 5 * 1024 * 1024);
    await until(() => problems()[0] === 'a.yaml: is larger than 4 MiB: not read');
    expect(show()).to.deep.equal(['Service a 80']);
  });

  it('lets a removed file and a removed directory go, and takes them back', async () => {
    await fs.mkdir(join(dir, 'sub'));
    await write('a.yaml', service('a'));
    await write('sub/b.yaml', service('b'));
    await start();
    await fs.rm(join(dir, 'a.yaml'));
    await until(() => show().length === 1);
    await fs.rm(join(dir, 'sub'), { recursive: true });
    await until(() => show().length === 0);
    await fs.mkdir(join(dir, 'sub'));
    await write('sub/b.yaml', service('b', 81));
    await until(() => show().includes('Service b 81'));
    await write('sub/b.yaml', service('b', 82));
    await until(() => show().includes('Service b 82'));
  });

  it('keeps everything while the directory itself is gone, and follows the new one', async () => {
    await write('a.yaml', service('a'));
    await start();
    await fs.rename(dir, `${dir}-away`);
    await until(() => problems().length > 0);
    expect(source.problems().map(formatProblem)).to.deep.equal([`${dir}: the directory is gone: what it held stays in force`]);
    expect(show()).to.deep.equal(['Service a 80']);
    await fs.rm(`${dir}-away`, { recursive: true });
    await fs.mkdir(dir);
    await write('b.yaml', service('b'));
    await until(() => show().join() === 'Service b 80');
    expect(problems()).to.deep.equal([]);
    await write('b.yaml', service('b', 81));
    await until(() => show().includes('Service b 81'));
  });

  it('follows a directory whose files are links that are swapped, as a mounted ConfigMap is', async () => {
    await fs.mkdir(join(dir, '..v1'));
    await fs.mkdir(join(dir, '..v2'));
    await write('..v1/a.yaml', service('a', 1));
    await write('..v2/a.yaml', service('a', 2));
    await fs.symlink('..v1', join(dir, '..data'));
    await fs.symlink('..data/a.yaml', join(dir, 'a.yaml'));
    await start();
    expect(show()).to.deep.equal(['Service a 1']);
    await fs.symlink('..v2', join(dir, '..data_tmp'));
    await fs.rename(join(dir, '..data_tmp'), join(dir, '..data'));
    await until(() => show().includes('Service a 2'));
  });

  it('does not report a change when a file is saved with the same meaning', async () => {
    await write('a.yaml', service('a'));
    await start();
    const before = source.objects()[0]!.object;
    await write('a.yaml', `${service('a')}# a comment\n`);
    await write('b.yaml', service('b'));
    await until(() => show().length === 2);
    expect(source.objects()[0]!.object).to.equal(before);
  });

  it('refuses a directory that is not there, and a file', async () => {
    await write('a.yaml', service('a'));
    for (const [path, words] of [
      [join(dir, 'nope'), `there is no directory ${join(dir, 'nope')}`],
      [join(dir, 'a.yaml'), `${join(dir, 'a.yaml')} is a file: name the directory that holds the manifests`],
      [join(dir, 'a.yaml/b'), `there is no directory ${join(dir, 'a.yaml/b')}`],
    ] as const) {
      const refused = new DirectorySource({ dir: path, log: silentLogger, onChange: () => {} });
      const error = await refused.start().then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(DirectoryError);
      expect((error as Error).message).to.equal(words);
    }
  });
});
