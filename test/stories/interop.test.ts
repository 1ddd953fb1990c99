// grpc-go's interop client against grpc-go's interop server, through two sidecars with mTLS between them: another
// implementation's view of every kind of call.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import net from 'node:net';
import { expect } from 'chai';
import { freePorts } from '../support/free-port.ts';
import { goTool } from '../support/go-tools.ts';
import { TestMesh } from '../support/mesh.ts';
import { neededBy } from '../support/needed.ts';
import { grpcRoute, to } from '../support/routes.ts';

/** The first run builds both programs. */
const BUILD_MS = 170_000;

const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'custom_metadata',
  'status_code_and_message',
  'special_status_message',
  'unimplemented_method',
  'unimplemented_service',
  'cancel_after_begin',
  'cancel_after_first_response',
  'timeout_on_sleeping_server',
];

describe('grpc-go’s interop suite through two sidecars', function () {
  this.timeout(BUILD_MS);
  let client = '';
  let server: ChildProcess | null = null;
  let mesh: TestMesh | null = null;

  before(async function () {
    client = neededBy(this, await goTool('interop-client')).path;
    const serverTool = neededBy(this, await goTool('interop-server'));
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['interop'] },
        { name: 'server', serves: true },
      ],
      services: { interop: ['server'] },
    });
    const at = mesh.appAddress('server');
    // The interop server listens on all addresses of its port; a relay puts it where the pod's application belongs.
    let port: number;
    do {
      [port] = await freePorts(1);
      server = spawn(serverTool.path, [`--port=${port}`], { stdio: 'ignore' });
    } while (!(await accepts(port, server)));
    const relay = net.createServer((socket) => {
      const onward = net.connect(port, '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      socket.on('error', () => onward.destroy());
      onward.on('error', () => socket.destroy());
    });
    relay.unref();
    await new Promise<void>((resolve) => relay.listen(at.port, at.host, resolve));
  });

  after(async () => {
    server?.kill();
    await mesh?.close();
  });

  async function runAll(): Promise<Record<string, string>> {
    const at = mesh!.address('caller', 'interop');
    const failures: Record<string, string> = {};
    for (const name of CASES) {
      const output = await run(client, [`--server_host=${at.host}`, `--server_port=${at.port}`, `--test_case=${name}`]);
      if (output !== '') failures[name] = output;
    }
    return failures;
  }

  it('passes all 14 cases without a route', async () => {
    expect(await runAll()).to.deep.equal({});
  });

  it('passes all 14 cases through a GRPCRoute that splits and edits headers', async () => {
    const filters = [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-weft-test', value: '1' }] } }];
    const backendRefs = [to('interop', 9), to('interop', 1)];
    const rules = [{ matches: [{ method: { service: 'grpc.testing.TestService' } }], filters, backendRefs }, { backendRefs }];
    mesh!.setRoutes([grpcRoute(rules, { name: 'interop', parent: 'interop' })]);
    expect(await runAll()).to.deep.equal({});
  });

  it('has no failure in a soak of calls on one channel and on many', async () => {
    const at = mesh!.address('caller', 'interop');
    for (const name of ['rpc_soak', 'channel_soak']) {
      // By itself it takes a call that needs more than a second, as on a busy machine, for a failure.
      const patient = '--soak_per_iteration_max_acceptable_latency_ms=60000';
      const soak = ['--soak_iterations=100', '--soak_max_failures=0', '--soak_overall_timeout_seconds=60', patient];
      expect(await run(client, [`--server_host=${at.host}`, `--server_port=${at.port}`, `--test_case=${name}`, ...soak]), name).to.equal(
        '',
      );
    }
  });

  it('makes every call over mTLS', async () => {
    const series = await mesh!.stats('caller');
    expect(series.length).to.be.greaterThan(0);
    expect(series.filter(({ backend, mtls }) => backend !== '' && !mtls)).to.deep.equal([]);
  });
});

/** '' if the program ended well, else its last words. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) =>
      resolve(error === null ? '' : `${stdout}${stderr}`.trim().slice(-500) || error.message),
    );
  });
}

/**
 * Waits until the server accepts connections; false: it has ended, because another program was quicker to take the
 * port.
 */
async function accepts(port: number, server: ChildProcess): Promise<boolean> {
  while (server.exitCode === null) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (open) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
