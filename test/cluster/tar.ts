// A tar archive (ustar) from entries in memory: the same entries make the same bytes.

export interface TarEntry {
  /** Without a leading slash; at most 255 bytes, with a slash such that the last part is at most 100. */
  readonly path: string;
  readonly mode?: number;
  readonly uid?: number;
  /** A file's content; absent: a directory. */
  readonly data?: Buffer | string;
  /** Target of a symbolic link. */
  readonly link?: string;
}

const BLOCK = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

function splitName(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME_BYTES) return ['', path];
  for (let i = path.indexOf('/'); i !== -1; i = path.indexOf('/', i + 1)) {
    if (Buffer.byteLength(path.slice(i + 1)) <= NAME_BYTES && i <= PREFIX_BYTES && i + 1 < path.length)
      return [path.slice(0, i), path.slice(i + 1)];
  }
  throw new Error(`${path} does not fit into a tar header`);
}

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const isDirectory = entry.data === undefined && entry.link === undefined;
  const [prefix, name] = splitName(isDirectory ? `${entry.path}/` : entry.path);
  const octal = (value: number, at: number, length: number) => block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at);
  block.write(name, 0);
  octal(entry.mode ?? (isDirectory ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.uid ?? 0, 116, 8);
  octal(size, 124, 12);
  // Time 0: a build at another time makes the same bytes.
  octal(0, 136, 12);
  block.write(isDirectory ? '5' : entry.link === undefined ? '0' : '2', 156);
  if (entry.link !== undefined) block.write(entry.link, 157);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** The archive's pieces, in order; directories above an entry are added where they are not given. */
export function tar(entries: readonly TarEntry[]): Buffer[] {
  const pieces: Buffer[] = [];
  const known = new Set<string>();
  const put = (entry: TarEntry) => {
    const data = entry.data === undefined ? undefined : Buffer.from(entry.data as Buffer);
    pieces.push(header(entry, data?.length ?? 0));
    if (data && data.length > 0) {
      pieces.push(data);
      if (data.length % BLOCK !== 0) pieces.push(Buffer.alloc(BLOCK - (data.length % BLOCK)));
    }
    known.add(entry.path);
  };
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let i = 1; i < parts.length; i++) {
      const above = parts.slice(0, i).join('/');
      if (!known.has(above)) put({ path: above });
    }
    if (!known.has(entry.path)) put(entry);
  }
  pieces.push(Buffer.alloc(2 * BLOCK));
  return pieces;
}
