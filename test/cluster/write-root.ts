// Writes the files of Weft's image into a directory, for the Containerfile: both ways to the image have one list of
// what is in it.
// node test/cluster/write-root.ts DIRECTORY
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { weftImage } from './image-list.ts';

const [root] = process.argv.slice(2);
if (!root) {
  process.stderr.write('usage: node test/cluster/write-root.ts DIRECTORY\n');
  process.exit(2);
}
for (const { path: at, mode, data, link } of (await weftImage()).layers.flat()) {
  const file = path.join(root, at);
  mkdirSync(path.dirname(file), { recursive: true });
  if (link !== undefined) symlinkSync(link, file);
  else if (data === undefined) mkdirSync(file, { recursive: true });
  else writeFileSync(file, data);
  // Modes at creation are cut by the umask.
  if (link === undefined) chmodSync(file, mode ?? (data === undefined ? 0o755 : 0o644));
}
