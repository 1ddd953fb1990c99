// Which manifest files a directory holds, and their text.
import { type Dirent, promises as fs } from 'node:fs';
import { join } from 'node:path';

/** Bounds on what is read: a directory given by mistake (a home, a checkout) must not fill the memory. */
export const MOST_FILES = 10_000;
export const LARGEST_FILE_BYTES = 4 * 1024 * 1024;
const DEEPEST_DIRECTORY = 32;

export interface Scan {
  /** Paths, the directory's own included; sorted. */
  readonly files: readonly string[];
  /** Path and inode of each directory seen. */
  readonly directories: ReadonlyMap<string, number>;
  /** What could not be looked at, and why. */
  readonly faults: readonly { readonly path: string; readonly message: string }[];
  /** The directory itself is gone. */
  readonly gone: boolean;
}

/** Hidden names, editors' leftovers and other people's packages are no manifests. */
function isWanted(name: string): boolean {
  return !name.startsWith('.') && name !== 'node_modules';
}

function isManifest(name: string): boolean {
  return /\.(?:ya?ml|json)$/.test(name);
}

/** Walks the directory, through links too. Never throws: what cannot be read is a fault. */
export async function scanDirectory(dir: string): Promise<Scan> {
  const files: string[] = [];
  const directories = new Map<string, number>();
  const faults: { path: string; message: string }[] = [];
  const inodes = new Set<string>();
  let gone = false;

  const walk = async (path: string, depth: number): Promise<void> => {
    let entries: Dirent[];
    try {
      const { ino, dev } = await fs.stat(path);
      // A link to a directory above would otherwise never end.
      if (inodes.has(`${dev}:${ino}`)) return;
      inodes.add(`${dev}:${ino}`);
      entries = await fs.readdir(path, { withFileTypes: true });
      directories.set(path, ino);
    } catch (error) {
      if (depth === 0 && isAbsent(error)) gone = true;
      else if (!isAbsent(error)) faults.push({ path, message: `cannot be read: ${wordsOf(error)}` });
      return;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (!isWanted(entry.name)) continue;
      const inner = join(path, entry.name);
      if (await isDirectory(inner, entry)) {
        if (depth < DEEPEST_DIRECTORY) await walk(inner, depth + 1);
        else faults.push({ path: inner, message: `not read: deeper than ${DEEPEST_DIRECTORY} directories` });
      } else if (isManifest(entry.name)) {
        if (files.length < MOST_FILES) files.push(inner);
        else if (files.length === MOST_FILES) {
          faults.push({ path: dir, message: `holds more than ${MOST_FILES} manifest files: the rest is not read` });
          return;
        }
      }
    }
  };
  await walk(dir, 0);
  files.sort();
  return { files, directories, faults, gone };
}

async function isDirectory(path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return (await fs.stat(path)).isDirectory();
  } catch {
    return false;
  }
}

export type FileText = { readonly text: string } | { readonly absent: true } | { readonly unreadable: string };

/** The text of one file, or why there is none. Never throws. */
export async function readManifest(path: string): Promise<FileText> {
  try {
    const stat = await fs.stat(path);
    if (!stat.isFile()) return { unreadable: 'is no file' };
    if (stat.size > LARGEST_FILE_BYTES) return { unreadable: `is larger than ${LARGEST_FILE_BYTES / 1024 / 1024} MiB: not read` };
    const bytes = await fs.readFile(path);
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    if (isAbsent(error)) return { absent: true };
    if (error instanceof TypeError) return { unreadable: 'is not text in UTF-8' };
    return { unreadable: `cannot be read: ${wordsOf(error)}` };
  }
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function wordsOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'ELOOP') return 'links go round in a circle';
  return code ?? message;
}
