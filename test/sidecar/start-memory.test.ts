// What a sidecar does not load when it starts: each of these stays in its memory for good.
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
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

  it('and its bundle sends spans without loading them (scripts/build.mjs)', async () => {
    const dist = path.resolve('dist');
    const chunk = readdirSync(dist).find(
      (file) => /^sidecar-[A-Z0-9]{8}\.mjs$/.test(file) && readFileSync(path.join(dist, file), 'utf8').includes('createSpanSender'),
    )!;
    const received: string[] = [];
    const collector = http.createServer((request, response) => {
      received.push(request.url!);
      request.resume().on('end', () => response.end());
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = collector.address() as AddressInfo;
      const script = `const { createSpanSender } = await import(${JSON.stringify(path.join(dist, chunk))});
        await createSpanSender('http://127.0.0.1:${port}/v1/traces', 1).send(Buffer.from([1]), () => {});
        console.log(JSON.stringify(process.moduleLoadList));
        process.exit();`;
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      expect(received).to.deep.equal(['/v1/traces']);
      expect((JSON.parse(stdout) as string[]).filter((module) => LAZY.includes(module))).to.deep.equal([]);
    } finally {
      collector.close();
    }
  });
});
