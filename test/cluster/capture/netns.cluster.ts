// The capture rules in a real kernel: two network namespaces, a veth pair, nft, and sockets that ask where they were
// going. Needs root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect } from 'chai';
import { CAPTURE_TABLE } from '#core/contract/capture-rules.ts';
import type { Arrival, Attempt } from './namespace-peer.ts';

const POD = `weft-pod-${process.pid}`;
const PEER = `weft-peer-${process.pid}`;
const SCRIPT = path.join(import.meta.dirname, 'namespace-peer.ts');
const CAPTURE_PROGRAM = path.resolve(import.meta.dirname, '../../../sidecar/pod/capture/main.ts');
const ROOT = path.resolve(import.meta.dirname, '../../..');
const SIDECAR = 2102;
const APPLICATION = 1000;

/** The pod's sidecar and application listen on these, the peer on the last ones. */
const POD_PORTS = [15001, 15006, 15020, 8080, 3000];
const PEER_PORTS = [8080, 53, 25];

const FAMILIES = [
  { name: 'IPv4', pod: '10.77.0.2', peer: '10.77.0.3', loopback: '127.0.0.1', from: '::ffff:10.77.0.3' },
  { name: 'IPv6', pod: 'fd77::2', peer: 'fd77::3', loopback: '::1', from: 'fd77::3' },
] as const;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function inNamespace(name: string, command: string, args: string[], env: Record<string, string> = {}): string {
  return execFileSync('ip', ['netns', 'exec', name, command, ...args], { encoding: 'utf8', cwd: ROOT, env: { ...process.env, ...env } });
}

function connect(namespace: string, uid: number, ...attempts: Attempt[]): (Arrival | string)[] {
  return JSON.parse(inNamespace(namespace, process.execPath, [SCRIPT, 'connect', `${uid}`, JSON.stringify(attempts)])) as (
    | Arrival
    | string
  )[];
}

function check(address: string): string {
  return JSON.parse(inNamespace(POD, process.execPath, [SCRIPT, 'check', `${SIDECAR}`, address])) as string;
}

/** As the init container does it. */
function loadRules(skipInbound: string, skipOutbound: string): void {
  inNamespace(POD, process.execPath, [CAPTURE_PROGRAM], { WEFT_SKIP_INBOUND_PORTS: skipInbound, WEFT_SKIP_OUTBOUND_PORTS: skipOutbound });
}

describe('capture rules in a network namespace', function () {
  this.timeout(30_000);
  const listeners: ChildProcess[] = [];

  async function listen(namespace: string, ports: number[]): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, SCRIPT, 'listen', ports.join(',')], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    listeners.push(child);
    await Promise.race([
      once(child.stdout!, 'data'),
      once(child, 'exit').then(() => Promise.reject(new Error(`the listener in ${namespace} ended`))),
    ]);
  }

  before(async function () {
    if (process.getuid?.() !== 0) this.skip();
    ip('netns', 'add', POD);
    ip('netns', 'add', PEER);
    ip('link', 'add', 'eth0', 'netns', POD, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', PEER);
    for (const [namespace, host] of [
      [POD, 2],
      [PEER, 3],
    ] as const) {
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      ip('-n', namespace, 'link', 'set', 'eth0', 'up');
      ip('-n', namespace, 'addr', 'add', `10.77.0.${host}/24`, 'dev', 'eth0');
      ip('-n', namespace, 'addr', 'add', `fd77::${host}/64`, 'dev', 'eth0', 'nodad');
      // Services' addresses lie behind the gateway; here they lead to the peer, which has none of them.
      ip('-n', namespace, 'route', 'add', 'default', 'via', `10.77.0.${5 - host}`);
      ip('-n', namespace, '-6', 'route', 'add', 'default', 'via', `fd77::${5 - host}`);
    }
    await Promise.all([listen(POD, POD_PORTS), listen(PEER, PEER_PORTS)]);
    loadRules('', '');
  });

  after(() => {
    for (const child of listeners) child.kill();
    for (const namespace of [POD, PEER]) {
      try {
        ip('netns', 'del', namespace);
      } catch {
        // It was never made.
      }
    }
  });

  for (const { name, pod, peer, loopback, from } of FAMILIES) {
    const service = name === 'IPv4' ? '10.96.0.10' : 'fd96::10';

    describe(name, () => {
      it('a connection to any port of the pod arrives at the inbound side, which learns the port', () => {
        const [app, unused] = connect(PEER, APPLICATION, { host: pod, port: 8080 }, { host: pod, port: 9 });
        expect(app).to.deep.equal({ at: 15006, original: `${pod}|8080`, from });
        expect(unused).to.deep.equal({ at: 15006, original: `${pod}|9`, from });
      });

      it('the admin port is reached as it is', () => {
        expect(connect(PEER, APPLICATION, { host: pod, port: 15020 })).to.deep.equal([{ at: 15020, original: `${pod}|15020`, from }]);
      });

      it('what the application connects to arrives at the outbound side, which learns address and port', () => {
        const [known, elsewhere] = connect(POD, APPLICATION, { host: peer, port: 8080 }, { host: service, port: 443 });
        expect(known).to.deep.include({ at: 15001, original: `${peer}|8080` });
        expect(elsewhere).to.deep.include({ at: 15001, original: `${service}|443` });
      });

      it('root, too, is the application', () => {
        expect(connect(POD, 0, { host: peer, port: 8080 })[0]).to.deep.include({ at: 15001, original: `${peer}|8080` });
      });

      it('what the sidecar connects to is left alone', () => {
        expect(connect(POD, SIDECAR, { host: peer, port: 8080 })[0]).to.deep.include({ at: 8080, original: null });
        expect(
          connect(POD, SIDECAR, { host: pod, port: 8080 }, { host: loopback, port: 8080 }).map((a) => (a as Arrival).at),
        ).to.deep.equal([8080, 8080]);
      });

      it('the sidecar calling its own pod from loopback arrives at the inbound side', () => {
        const own = [8080, 9].map((port) => ({ host: pod, port, source: loopback }));
        const [hairpin, unused, aside] = connect(POD, SIDECAR, ...own, { host: loopback, port: 8080, source: loopback });
        expect(hairpin).to.deep.include({ at: 15006, original: `${pod}|8080` });
        expect(unused).to.deep.include({ at: 15006, original: `${pod}|9` });
        expect(aside).to.deep.include({ at: 8080 });
      });

      it('the sidecar finds out whether it is captured', () => {
        expect(check(pod)).to.equal('');
        inNamespace(POD, 'nft', ['delete', 'table', ...CAPTURE_TABLE.split(' ')]);
        try {
          expect(check(pod)).to.match(
            /^traffic is not captured: .*:15021 did not reach port 15006 \((ECONNREFUSED|no answer within 1000 ms)\)/,
          );
        } finally {
          loadRules('', '');
        }
      });

      it('the application calling itself is left alone', () => {
        const [byAddress, byLoopback] = connect(POD, APPLICATION, { host: pod, port: 3000 }, { host: loopback, port: 3000 });
        expect(byAddress).to.deep.include({ at: 3000 });
        expect(byLoopback).to.deep.include({ at: 3000 });
      });

      it('DNS over TCP is left alone', () => {
        expect(connect(POD, APPLICATION, { host: peer, port: 53 })[0]).to.deep.include({ at: 53 });
      });

      it('skipped ports are left alone, others are not', () => {
        loadRules('3000,8000-8100', '20-30,9000');
        try {
          const inbound = connect(PEER, APPLICATION, { host: pod, port: 8080 }, { host: pod, port: 3000 }, { host: pod, port: 3001 });
          expect(inbound.map((a) => (a as Arrival).at)).to.deep.equal([8080, 3000, 15006]);
          const outbound = connect(POD, APPLICATION, { host: peer, port: 25 }, { host: peer, port: 8080 });
          expect(outbound.map((a) => (a as Arrival).at)).to.deep.equal([25, 15001]);
        } finally {
          loadRules('', '');
        }
      });
    });
  }

  it('loading the rules again changes nothing, and leaves tables of others alone', () => {
    inNamespace(POD, 'nft', ['add', 'table', 'inet', 'others']);
    const ours = (): string => inNamespace(POD, 'nft', ['-s', 'list', 'table', ...CAPTURE_TABLE.split(' ')]);
    const first = ours();
    loadRules('', '');
    loadRules('', '');
    expect(ours()).to.equal(first);
    expect(inNamespace(POD, 'nft', ['list', 'tables']).trim().split('\n').sort()).to.deep.equal([
      'table inet others',
      `table ${CAPTURE_TABLE}`,
    ]);
  });
});
