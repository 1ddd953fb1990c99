// What a sidecar does not load when it starts: each of these stays in its memory for good.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';

/** Loaded by getters of node:http and node:fs, which `import` reads. */
const LAZY = [
  'NativeModule internal/deps/undici/undici',
  'NativeModule internal/fs/streams',
  'NativeModule internal/streams/fast-utf8-stream',
];

describe('start of a sidecar', () => {
  it('loads nothing that the getters of built-in modules hold back', () => {
    const files = ['sidecar/program/program.ts', 'sidecar/program/settings.ts', 'sidecar/observe/access-log/line-writer.ts'].map((file) =>
      path.resolve(file),
    );
    const script = `for (const file of ${JSON.stringify(files)}) await import(file);
      console.log(JSON.stringify(process.moduleLoadList));`;
    const loaded = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })) as string[];
    expect(loaded).to.include('NativeModule http');
    expect(loaded.filter((module) => LAZY.includes(module))).to.deep.equal([]);
  });
});
