// Container images without a container engine: a docker-archive from layers in memory, handed to containerd.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { containerdSocket } from './configuration.ts';
import { must } from './exec.ts';
import { type TarEntry, tar } from './tar.ts';

/** Files of one layer; two images with an equal layer share it. */
export type Layer = readonly TarEntry[];

export interface Image {
  /** Full names, with registry and tag. */
  readonly names: readonly string[];
  readonly layers: readonly Layer[];
  readonly entrypoint?: readonly string[];
  /** uid:gid. */
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Archive {
  readonly pieces: readonly Buffer[];
  /** Digest of the configuration, which names the layers: another content is another digest. */
  readonly digest: string;
  /** Of all layers, unpacked. */
  readonly bytes: number;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' };

const sha256 = (pieces: readonly Buffer[]): string => {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
};

/** The image as `docker save` would write it. */
export function dockerArchive(image: Image): Archive {
  const layers = image.layers.map((layer) => {
    const pieces = tar(layer);
    return { pieces, digest: sha256(pieces), bytes: pieces.reduce((total, { length }) => total + length, 0) };
  });
  const config = JSON.stringify({
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: {
      Env: Object.entries({ PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', ...image.env }).map(
        ([name, value]) => `${name}=${value}`,
      ),
      ...(image.entrypoint ? { Entrypoint: image.entrypoint } : {}),
      ...(image.user ? { User: image.user } : {}),
      WorkingDir: image.workingDirectory ?? '/',
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
    history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'weft' })),
  });
  const digest = sha256([Buffer.from(config)]);
  const files = layers.map(({ digest: layer }) => `${layer}.tar`);
  const manifest = JSON.stringify([{ Config: `${digest}.json`, RepoTags: image.names, Layers: files }]);
  const entries: TarEntry[] = [
    { path: 'manifest.json', data: manifest },
    { path: `${digest}.json`, data: config },
    ...layers.map((layer, i) => ({ path: files[i], data: Buffer.concat(layer.pieces) })),
  ];
  return { pieces: tar(entries), digest, bytes: layers.reduce((total, { bytes }) => total + bytes, 0) };
}

const loadedFile = (directory: string) => path.join(directory, 'images.json');

function loadedImages(directory: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(loadedFile(directory), 'utf8')) as Record<string, string>;
  } catch {
    return {};
  }
}

export interface Loaded {
  /** False: the cluster had it already. */
  readonly imported: boolean;
  readonly bytes: number;
}

/** Loads the image into the cluster of `directory`, unless that has exactly it. @throws Error with what ctr said */
export async function loadImage(directory: string, image: Image): Promise<Loaded> {
  const { pieces, digest, bytes } = dockerArchive(image);
  const loaded = loadedImages(directory);
  if (image.names.every((name) => loaded[name] === digest)) return { imported: false, bytes };
  const file = path.join(directory, 'images', `${digest}.tar`);
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    writeFileSync(file, Buffer.concat(pieces));
    await must('ctr', ['-a', containerdSocket(directory), '-n', 'k8s.io', 'images', 'import', '--all-platforms', file]);
  } finally {
    rmSync(file, { force: true });
  }
  const now = loadedImages(directory);
  writeFileSync(
    loadedFile(directory),
    `${JSON.stringify({ ...now, ...Object.fromEntries(image.names.map((name) => [name, digest])) }, null, 2)}\n`,
  );
  return { imported: true, bytes };
}
