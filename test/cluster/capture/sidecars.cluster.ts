// Two whole sidecars in pods' network namespaces, their traffic really redirected, a control plane and strangers around
// them. Needs root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { expect } from 'chai';
import { captureRules } from '#core/contract/capture-rules.ts';
import { ANNOTATION_STATUS, CONTROL_PLANE_GRPC_PORT, LABEL_MTLS, STATUS_SKIP_INBOUND_PORTS } from '#core/contract/names.ts';
import { clientHello } from '../../support/client-hello.ts';
import { until } from '../../support/until.ts';
import { ROOTS_FILE, TRUST_DOMAIN } from './mesh-process.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const SCRIPT = path.join(import.meta.dirname, 'mesh-process.ts');
const NAMESPACES = { world: `weft-world-${process.pid}`, caller: `weft-caller-${process.pid}`, server: `weft-server-${process.pid}` };
type Place = keyof typeof NAMESPACES;
const IP = { caller: '10.78.1.2', server: '10.78.2.2' };
const WORLD = '10.78.2.1';
const CONTROL_PLANE = '10.78.9.9';
/** Of the Service in front of the server, and of one that is outside of the mesh. */
const ECHO = '10.96.0.1';
const PLAIN = '10.96.0.2';
/** The same of Services that are not called until the control plane is away. */
const UNUSED = '10.96.0.3';
const UNUSED_PLAIN = '10.96.0.4';
/** Other places of a Service in front of the server. */
const ELSEWHERE = '10.96.0.5';
const EXTERNAL = '10.78.9.10';
const NODE_PORT = 30_080;
const IDENTITY = (pod: string): string => `URI=spiffe://${TRUST_DOMAIN}/ns/shop/sa/${pod}`;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function inWorld(command: string, ...args: string[]): void {
  execFileSync('ip', ['netns', 'exec', NAMESPACES.world, command, ...args], { stdio: 'ignore' });
}

/** A process in a namespace that answers lines. */
class Peer {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(place: Place, args: string[], env: Record<string, string> = {}) {
    this.child = spawn('ip', ['netns', 'exec', NAMESPACES[place], process.execPath, SCRIPT, ...args], {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.lines = readline.createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async next(): Promise<unknown> {
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error('a process of the test has ended');
    return JSON.parse(value as string);
  }

  ask(command: Record<string, unknown>): Promise<unknown> {
    this.child.stdin!.write(`${JSON.stringify(command)}\n`);
    return this.next();
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.stdin!.end();
    await once(this.child, 'exit');
  }
}

function objects(mtls: string, echo = ECHO): object[] {
  const pod = (name: 'caller' | 'server', labels: object) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'shop',
      labels,
      annotations: { [ANNOTATION_STATUS]: JSON.stringify({ [STATUS_SKIP_INBOUND_PORTS]: '9999' }) },
    },
    spec: { serviceAccountName: name },
    status: { phase: 'Running', podIP: IP[name], podIPs: [{ ip: IP[name] }] },
  });
  const service = (name: string, clusterIP: string, endpoint: object, more: object = {}) => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop' },
      spec: { clusterIP, ports: [{ name: 'grpc', port: 8080, nodePort: clusterIP === ELSEWHERE ? NODE_PORT : undefined }], ...more },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace: 'shop', labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'grpc', port: 8080, protocol: 'TCP' }],
      endpoints: [{ conditions: { ready: true }, ...endpoint }],
    },
  ];
  const toServer = { addresses: [IP.server], targetRef: { kind: 'Pod', name: 'server', namespace: 'shop' } };
  return [
    pod('caller', {}),
    pod('server', { [LABEL_MTLS]: mtls }),
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' }, status: { addresses: [{ type: 'InternalIP', address: WORLD }] } },
    ...service('echo', echo, toServer),
    ...service('plain', PLAIN, { addresses: [WORLD] }),
    ...service('unused', UNUSED, toServer),
    ...service('unused-plain', UNUSED_PLAIN, { addresses: [WORLD] }),
    ...service('elsewhere', ELSEWHERE, toServer, { externalIPs: [EXTERNAL] }),
    ...service('headless', 'None', toServer),
  ];
}

describe('sidecars in network namespaces', function () {
  this.timeout(60_000);
  const started: Peer[] = [];
  let directory: string;
  let controlPlane: Peer;
  let caller: Peer;
  let server: Peer;
  let outside: Peer;
  let sidecars: Peer[];

  function start(place: Place, args: string[], env: Record<string, string> = {}): Peer {
    const peer = new Peer(place, args, env);
    started.push(peer);
    return peer;
  }

  function namespaces(): void {
    for (const name of Object.values(NAMESPACES)) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    for (const [place, net] of [
      ['caller', '10.78.1'],
      ['server', '10.78.2'],
    ] as const) {
      ip('link', 'add', 'eth0', 'netns', NAMESPACES[place], 'type', 'veth', 'peer', 'name', place, 'netns', NAMESPACES.world);
      ip('-n', NAMESPACES[place], 'addr', 'add', `${net}.2/24`, 'dev', 'eth0');
      ip('-n', NAMESPACES[place], 'link', 'set', 'eth0', 'up');
      ip('-n', NAMESPACES[place], 'route', 'add', 'default', 'via', `${net}.1`);
      ip('-n', NAMESPACES.world, 'addr', 'add', `${net}.1/24`, 'dev', place);
      ip('-n', NAMESPACES.world, 'link', 'set', place, 'up');
      execFileSync('ip', ['netns', 'exec', NAMESPACES[place], 'nft', '-f', '-'], {
        input: captureRules({ skipInbound: [{ from: 9999, to: 9999 }], skipOutbound: [] }),
      });
    }
    for (const address of [CONTROL_PLANE, PLAIN, UNUSED_PLAIN]) ip('-n', NAMESPACES.world, 'addr', 'add', `${address}/32`, 'dev', 'lo');
    inWorld('sysctl', '-w', 'net.ipv4.ip_forward=1');
  }

  before(async function () {
    if (process.getuid?.() !== 0) this.skip();
    directory = mkdtempSync(path.join(os.tmpdir(), 'weft-sidecars-'));
    chmodSync(directory, 0o755);
    namespaces();
    controlPlane = start('world', ['control-plane', directory, CONTROL_PLANE, `${CONTROL_PLANE_GRPC_PORT}`]);
    caller = start('caller', ['application', 'caller']);
    server = start('server', ['application', 'server']);
    outside = start('world', ['application', 'outside']);
    await Promise.all(started.map((peer) => peer.next()));
    await controlPlane.ask({ objects: objects('permissive'), token: 'caller' });
    await controlPlane.ask({ token: 'server' });
    sidecars = (['caller', 'server'] as const).map((pod) =>
      start(pod, ['sidecar'], {
        WEFT_CONTROL_PLANE: `${CONTROL_PLANE}:${CONTROL_PLANE_GRPC_PORT}`,
        WEFT_TOKEN_FILE: path.join(directory, pod),
        WEFT_TRUST_BUNDLE_FILE: path.join(directory, ROOTS_FILE),
        WEFT_POD_NAMESPACE: 'shop',
        WEFT_POD_NAME: pod,
        WEFT_POD_IPS: IP[pod],
        WEFT_ADMIN_ADDRESS: '[::]:15020',
        WEFT_CAPTURE: 'enabled',
        WEFT_OPAQUE_PORTS: '25',
      }),
    );
    for (const sidecar of sidecars) {
      await sidecar.next();
      let missing: unknown;
      await until(async () => (missing = await sidecar.ask({})) === '', 'the sidecar is ready').catch((error: Error) => {
        throw new Error(`${error.message}: ${missing}`);
      });
    }
  });

  after(async () => {
    await Promise.all(started.map((peer) => peer.end()));
    for (const name of Object.values(NAMESPACES)) {
      try {
        ip('netns', 'del', name);
      } catch {
        // It was never made.
      }
    }
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  it('a call to a Service arrives over mTLS, and the application learns its caller', async () => {
    expect(await caller.ask({ call: `${ECHO}:8080` })).to.equal(`server ${IDENTITY('caller')}`);
  });

  it("so does a call to the pod's own address", async () => {
    expect(await caller.ask({ call: `${IP.server}:8080` })).to.equal(`server ${IDENTITY('caller')}`);
  });

  it('a Service calls itself through both sides of its sidecar', async () => {
    expect(await server.ask({ call: `${ECHO}:8080` })).to.equal(`server ${IDENTITY('server')}`);
  });

  it('what is not in the mesh is reached as it is, by a Service or without one', async () => {
    expect(await caller.ask({ call: `${PLAIN}:8080` })).to.equal('outside');
    expect(await caller.ask({ call: `${WORLD}:8080` })).to.equal('outside');
  });

  it('a Service is reached at one of its externalIPs and at its node port, though it was not called before', async () => {
    for (const at of [`${EXTERNAL}:8080`, `${WORLD}:${NODE_PORT}`])
      expect(await caller.ask({ call: at }), at).to.equal(`server ${IDENTITY('caller')}`);
    expect(await caller.ask({ call: `${EXTERNAL}:8081` }), 'no Service has this port there').to.not.contain('server');
  });

  it('a Service is reached at its ClusterIP as it moves, also where another was before, and not when it is gone', async () => {
    const [old, moved] = [ECHO, '10.96.0.77'];
    await controlPlane.ask({ objects: objects('permissive', moved) });
    await until(async () => (await caller.ask({ call: `${moved}:8080` })) === `server ${IDENTITY('caller')}`, 'it is at its new address');
    expect(await caller.ask({ call: `${old}:8080` })).to.not.contain('server');
    await controlPlane.ask({ objects: objects('permissive') });
    await until(async () => (await caller.ask({ call: `${old}:8080` })) === `server ${IDENTITY('caller')}`, 'it is back');
    expect(await caller.ask({ call: `${moved}:8080` })).to.not.contain('server');
  });

  it('PERMISSIVE serves a stranger, as a caller without identity', async () => {
    expect(await outside.ask({ call: `${IP.server}:8080` })).to.equal('server');
  });

  it('a server that speaks first is heard at once on an opaque port', async () => {
    // Looking at its first octets would take longer than the client waits.
    expect(await caller.ask({ exchange: `${IP.server}:25` })).to.equal('220 welcome');
  });

  it("an application's own TLS reaches the application as it is", async () => {
    const hello = (await clientHello(['http/1.1'])).toString('hex');
    expect(await caller.ask({ exchange: `${IP.server}:9443`, send: hello })).to.equal('first octet 22');
    expect(await outside.ask({ exchange: `${IP.server}:9443`, send: hello })).to.equal('first octet 22');
  });

  it("another pod's metrics are read through one's own sidecar", async () => {
    const send = Buffer.from('GET /livez HTTP/1.0\r\n\r\n').toString('hex');
    expect(await caller.ask({ exchange: `${IP.server}:15020`, send })).to.match(/^HTTP\/1\.1 200 OK/);
  });

  it('a port that is left out of capture is reached as it is', async () => {
    expect(await caller.ask({ exchange: `${IP.server}:9999` })).to.equal('220 welcome');
  });

  describe('attacks', () => {
    it("cannot reach the sidecar's own ports", async () => {
      for (const port of [15001, 15006]) {
        expect(await outside.ask({ exchange: `${IP.server}:${port}`, send: '78' }), `${port}`).to.be.oneOf(['closed', 'ECONNRESET']);
        const own = await server.ask({ exchange: `${IP.server}:${port}`, send: '78' });
        expect(own, `${port}`).to.be.oneOf(['closed', 'ECONNRESET', 'ECONNREFUSED']);
        expect(await server.ask({ exchange: `127.0.0.1:${port}`, send: '78' }), `${port}`).to.be.oneOf(['closed', 'ECONNRESET']);
      }
    });

    it('by strangers do not show them the configuration', async () => {
      const send = Buffer.from('GET /config_dump HTTP/1.0\r\n\r\n').toString('hex');
      expect(await outside.ask({ exchange: `${IP.server}:15020`, send })).to.match(/^HTTP\/1\.1 404 /);
      expect(await caller.ask({ exchange: `${IP.server}:15020`, send })).to.match(/^HTTP\/1\.1 404 /);
    });

    it('by a neighbour that sends packets for another address get no answer', async () => {
      // What the world sends to the caller goes to the server's interface; others' packets find their own way.
      ip('-n', NAMESPACES.world, 'rule', 'add', 'iif', 'lo', 'to', IP.caller, 'lookup', '100');
      ip('-n', NAMESPACES.world, 'route', 'add', IP.caller, 'via', IP.server, 'table', '100');
      expect(await server.ask({ exchange: `${IP.caller}:9443`, send: '78' })).to.equal('first octet 120');
      expect(await outside.ask({ exchange: `${IP.caller}:9443`, send: '78' })).to.be.oneOf(['closed', 'ECONNRESET']);
      ip('-n', NAMESPACES.world, 'rule', 'del', 'iif', 'lo', 'to', IP.caller, 'lookup', '100');
    });

    it('by a scan of thousands of ports do no harm', async () => {
      expect(await outside.ask({ scan: IP.server })).to.equal(3000);
      expect(await caller.ask({ call: `${ECHO}:8080` })).to.equal(`server ${IDENTITY('caller')}`);
    });
  });

  it('STRICT holds from the moment it is set: strangers are refused, the mesh is served', async () => {
    await controlPlane.ask({ objects: objects('strict') });
    await until(async () => (await outside.ask({ call: `${IP.server}:8080` })) !== 'server', 'the stranger is refused');
    expect(await outside.ask({ exchange: `${IP.server}:9443`, send: (await clientHello(['h2'])).toString('hex') })).to.not.contain('octet');
    expect(await caller.ask({ call: `${ECHO}:8080` })).to.equal(`server ${IDENTITY('caller')}`);
    expect(await caller.ask({ exchange: `${IP.server}:9443`, send: '78' })).to.equal('first octet 120');
    expect(await caller.ask({ exchange: `${IP.server}:9999` })).to.equal('220 welcome');
    expect(await server.ask({ call: `${ECHO}:8080` })).to.equal(`server ${IDENTITY('server')}`);
  });

  it('with the control plane away what is known goes on, and what may be a pod is not called in plaintext', async () => {
    await controlPlane.ask({ stop: true });
    expect(await caller.ask({ call: `${ECHO}:8080` })).to.equal(`server ${IDENTITY('caller')}`);
    expect(await caller.ask({ call: `${IP.server}:8080` })).to.equal(`server ${IDENTITY('caller')}`);
    expect(await caller.ask({ call: `${WORLD}:8080` })).to.equal('outside');
    expect(await caller.ask({ call: '10.78.1.1:8080' })).to.contain('no_config');
    expect(await caller.ask({ call: `${UNUSED}:8080` }))
      .to.contain('no_config')
      .and.contain(`which Service is at ${UNUSED} was not known after 2000 ms, because the control plane is away`);
    expect(await caller.ask({ call: `${UNUSED_PLAIN}:8080` }), 'without routes and sidecars').to.equal('outside');
    await controlPlane.ask({});
    // They look for it every few seconds, apart from each other; an address that is new is refused until then.
    const back = async () => (await server.ask({ exchange: `${IP.caller}:9443`, send: '78' })) === 'first octet 120';
    await until(back, 'the sidecar has found the control plane again');
    const answers = async () => (await caller.ask({ call: `${UNUSED}:8080` })) === `server ${IDENTITY('caller')}`;
    await until(answers, 'the Service that was refused is reached');
  });
});
