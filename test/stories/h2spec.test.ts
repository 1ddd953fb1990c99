// h2spec, an outside judge of HTTP/2 servers (145 cases), against the listener that applications talk to. Every case
// must pass.
import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { goTool } from '../support/go-tools.ts';
import { neededBy } from '../support/needed.ts';
import { TestProxy } from '../support/proxy.ts';

/** The first run builds h2spec. */
const BUILD_MS = 120_000;
const ANSWER_AFTER_MS = 40;

describe('the outbound listener', function () {
  this.timeout(BUILD_MS);
  let h2spec = '';
  let backend: http2.Http2Server;
  let proxy: TestProxy;

  before(async function () {
    h2spec = neededBy(this, await goTool('h2spec')).path;
    backend = http2.createServer();
    // Some cases break a rule on a stream that waits for its answer: an answer that is quicker than the case's next
    // frame would end the stream first.
    backend.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.resume();
      setTimeout(() => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200, 'content-type': 'text/plain' });
        stream.end('a body that is long enough for the window cases');
      }, ANSWER_AFTER_MS);
    });
    await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
    proxy = await TestProxy.start({ endpoints: [(backend.address() as AddressInfo).port] });
  });

  after(() => {
    proxy?.close();
    backend?.close();
  });

  it('passes all 145 cases of h2spec', async () => {
    const output = await run(h2spec, ['-h', '127.0.0.1', '-p', `${proxy.port}`, '-o', '2']);
    const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output);
    expect(summary, output.slice(-500)).to.not.equal(null);
    const [, tests, passed, skipped, failed] = summary!.map(Number);
    expect({ tests, passed, skipped, failed }, output.slice(-4000)).to.deep.equal({ tests: 145, passed: 145, skipped: 0, failed: 0 });
  });
});

/** Output of a program, whatever its exit code. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => execFile(program, args, { maxBuffer: 1 << 24 }, (_error, stdout, stderr) => resolve(stdout + stderr)));
}
