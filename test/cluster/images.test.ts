// Images as tars: readable by others, the same for the same content.
import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import fc from 'fast-check';
import { dockerArchive, type Image } from './images.ts';
import { tar } from './tar.ts';

const read = (pieces: readonly Buffer[], args: readonly string[]): string =>
  execFileSync('tar', args, { input: Buffer.concat(pieces), encoding: 'utf8' });

const image = (text: string): Image => ({
  names: ['localhost/a:1', 'localhost/b:1'],
  layers: [[{ path: 'bin/node', mode: 0o755, data: 'node' }], [{ path: 'weft/a.mjs', data: text }]],
  user: '2102:2102',
});

describe('tar', () => {
  it('is read by tar(1): directories above, modes, owners, links, long names, content', () => {
    const folder = 'd'.repeat(70);
    const long = `${folder}/${'f'.repeat(90)}`;
    const pieces = tar([
      { path: 'tmp', mode: 0o1777 },
      { path: 'usr/bin/program', mode: 0o755, data: 'x'.repeat(513) },
      { path: 'link', link: 'usr/bin/program' },
      { path: 'own', uid: 2102, data: '' },
      { path: long, data: 'deep' },
    ]);
    const listed = read(pieces, ['-tv', '--numeric-owner', '-f', '-'])
      .trim()
      .split('\n')
      .map((line) => line.replace(/ +/g, ' ').replace(/ 1970-\S+ \S+/, ''));
    expect(listed).to.deep.equal([
      'drwxrwxrwt 0/0 0 tmp/',
      'drwxr-xr-x 0/0 0 usr/',
      'drwxr-xr-x 0/0 0 usr/bin/',
      '-rwxr-xr-x 0/0 513 usr/bin/program',
      'lrw-r--r-- 0/0 0 link -> usr/bin/program',
      '-rw-r--r-- 2102/2102 0 own',
      `drwxr-xr-x 0/0 0 ${folder}/`,
      `-rw-r--r-- 0/0 4 ${long}`,
    ]);
    expect(read(pieces, ['-xOf', '-', 'usr/bin/program'])).to.equal('x'.repeat(513));
  });

  it('has whole blocks for content of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (data) => {
        const pieces = tar([{ path: 'a', data: Buffer.from(data) }]);
        expect(Buffer.concat(pieces).length % 512).to.equal(0);
        expect(Buffer.concat(pieces).subarray(512, 512 + data.length)).to.deep.equal(Buffer.from(data));
      }),
    );
  });

  it('refuses a name that fits no header', () => {
    expect(() => tar([{ path: 'x'.repeat(101), data: '' }])).to.throw('does not fit');
  });
});

describe('a docker archive', () => {
  it('is the same for the same content, and another for another', () => {
    expect(dockerArchive(image('1')).digest).to.equal(dockerArchive(image('1')).digest);
    expect(dockerArchive(image('1')).digest).to.not.equal(dockerArchive(image('2')).digest);
  });

  it('names its configuration and its layers, which are there; an unchanged layer keeps its name', () => {
    const manifestOf = (text: string) => {
      const { pieces } = dockerArchive(image(text));
      const [manifest] = JSON.parse(read(pieces, ['-xOf', '-', 'manifest.json'])) as {
        Config: string;
        RepoTags: string[];
        Layers: string[];
      }[];
      const config = JSON.parse(read(pieces, ['-xOf', '-', manifest.Config])) as {
        config: { User: string };
        rootfs: { diff_ids: string[] };
      };
      return { manifest, config, files: read(pieces, ['-tf', '-']).trim().split('\n') };
    };
    const [one, other] = [manifestOf('1'), manifestOf('2')];
    expect(one.manifest.RepoTags).to.deep.equal(['localhost/a:1', 'localhost/b:1']);
    expect(one.files).to.include.members([one.manifest.Config, ...one.manifest.Layers]);
    expect(one.config.config.User).to.equal('2102:2102');
    expect(one.config.rootfs.diff_ids).to.deep.equal(one.manifest.Layers.map((file) => `sha256:${file.replace('.tar', '')}`));
    expect(one.manifest.Layers[0]).to.equal(other.manifest.Layers[0]);
    expect(one.manifest.Layers[1]).to.not.equal(other.manifest.Layers[1]);
  });
});
