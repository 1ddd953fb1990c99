// The reflector against a server that does all that API servers do: it goes away, forgets, refuses, falls silent and
// talks nonsense.
import { spawn } from 'node:child_process';
import net from 'node:net';
import { expect } from 'chai';
import { createLogger } from '#core/program/log.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector, type ReflectorDeps } from '#kube/reflector.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { podKind } from '#objects/pod.ts';
import { until } from '../support/until.ts';
import { HastyTimers, refuse, reply, TestApiServer } from './api-server.ts';

const PODS = '/api/v1/pods';

/** A receiver that keeps what it was handed, as the control plane's does. */
class Known {
  readonly lists: string[][] = [];
  readonly calls: string[] = [];
  readonly objects = new Map<string, KubeObject>();

  synced(objects: KubeObject[], unread: KubeObject[]): void {
    this.lists.push(objects.map(({ metadata }) => metadata!.name!));
    const stay = unread.map(({ metadata }) => metadata!.name!);
    for (const name of this.objects.keys()) if (!stay.includes(name)) this.objects.delete(name);
    for (const object of objects) this.objects.set(object.metadata!.name!, object);
  }
  applied(object: KubeObject): void {
    this.calls.push(`applied ${object.metadata!.name}`);
    this.objects.set(object.metadata!.name!, object);
  }
  removed(object: KubeObject): void {
    this.calls.push(`removed ${object.metadata!.name}`);
    this.objects.delete(object.metadata!.name!);
  }
  get names(): string {
    return [...this.objects.keys()].sort().join(' ');
  }
}

describe('kube reflector', () => {
  let server: TestApiServer;
  let known: Known;
  let timers: HastyTimers;
  let running: Reflector[] = [];
  let lines: string[] = [];

  beforeEach(async () => {
    server = await TestApiServer.start();
    known = new Known();
    timers = new HastyTimers();
    lines = [];
  });
  afterEach(() => {
    for (const reflector of running) reflector.stop();
    running = [];
    server.close();
  });

  function start(more: Partial<ReflectorDeps> = {}): Reflector {
    const log = createLogger({ level: 'debug', format: 'text', write: (line) => void lines.push(line), now: () => 0 });
    const project = (raw: Record<string, unknown>): KubeObject => raw as KubeObject;
    const reflector = new Reflector({
      client: server.client(),
      kind: podKind,
      project,
      handler: known,
      timers,
      random: () => 0.5,
      log,
      ...more,
    });
    running.push(reflector);
    reflector.start();
    return reflector;
  }

  async function following(reflector: Reflector): Promise<void> {
    await until(() => server.watching === 1 && reflector.status().synced && reflector.status().lastError === '', 'it watches');
  }

  it('lists, then follows each change, with bookmarks and a limited time', async () => {
    server.put(PODS, 'a');
    const reflector = start();
    await following(reflector);
    expect(known.lists).to.deep.equal([['a']]);
    expect(known.objects.get('a')).to.include({ apiVersion: 'v1', kind: 'Pod' });
    server.put(PODS, 'b');
    server.put(PODS, 'a', { changed: true });
    server.delete(PODS, 'b');
    await until(() => known.calls.length === 3, 'three changes came');
    expect(known.calls).to.deep.equal(['applied b', 'applied a', 'removed b']);
    const [watch] = server.requests(({ query }) => query.has('watch'));
    expect(watch.query.get('allowWatchBookmarks')).to.equal('true');
    expect(Number(watch.query.get('timeoutSeconds'))).to.be.within(240, 540);
    expect(watch.headers.authorization).to.equal('Bearer t');
  });

  it('asks for one object, or for those with a label, in a namespace', async () => {
    start({ namespace: 'n', name: 'x', labelSelector: 'a=b' });
    await until(() => server.seen.length > 1, 'it watches');
    for (const { path, query } of server.seen) {
      expect(path).to.equal('/api/v1/namespaces/n/pods');
      expect(query.get('fieldSelector')).to.equal('metadata.name=x');
      expect(query.get('labelSelector')).to.equal('a=b');
    }
  });

  it('lists in pages of 500, and hands them on as one list', async () => {
    for (let i = 0; i < 1201; i++) server.put(PODS, `p${i}`, {}, true);
    await following(start());
    expect(known.lists.map((list) => list.length)).to.deep.equal([1201]);
    expect(server.requests(({ query }) => query.get('limit') === '500')).to.have.length(3);
  });

  it('begins a list anew when its pages expire, at last in one piece', async () => {
    for (let i = 0; i < 700; i++) server.put(PODS, `p${i}`, {}, true);
    server.faults.push((seen, response) => {
      if (!seen.query.has('continue')) return false;
      refuse(response, 410, 'Expired', 'The provided continue parameter is too old');
      return true;
    });
    await following(start());
    expect(known.lists.map((list) => list.length)).to.deep.equal([700]);
    expect(server.requests(({ query }) => !query.has('limit') && !query.has('watch'))).to.have.length(1);
  });

  it('goes on from the last version, or the last bookmark, when the server ends the watch', async () => {
    const reflector = start();
    await following(reflector);
    server.put(PODS, 'a');
    await until(() => known.names === 'a', 'a came');
    server.line(`${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Pod', metadata: { resourceVersion: '5000' } } })}\n`);
    const before = reflector.status().watches;
    server.endWatches();
    await until(() => reflector.status().watches > before && server.watching === 1, 'it watches again');
    expect(server.seen.at(-1)!.query.get('resourceVersion')).to.equal('5000');
    expect(known.lists).to.have.length(1);
    expect(reflector.status().lastError).to.equal('');
  });

  it('410 as the answer to a watch, and inside of it, lead to a list; what was deleted meanwhile is not in it', async () => {
    for (const how of ['answer', 'in the stream']) {
      server.put(PODS, 'gone');
      server.put(PODS, 'stays');
      known = new Known();
      const reflector = start();
      await following(reflector);
      if (how === 'answer') {
        let once = true;
        server.faults.push((seen, response) => {
          if (!once || !seen.query.has('watch')) return false;
          once = false;
          refuse(response, 410, 'Expired', 'too old resource version');
          return true;
        });
      }
      server.close();
      server.delete(PODS, 'gone');
      server.put(PODS, 'new');
      server.compact();
      await server.listen();
      await until(() => known.names === 'new stays', `it caught up after 410 as ${how}`);
      expect(known.lists).to.have.length(2);
      reflector.stop();
      await until(() => server.watching === 0, 'it stopped');
      server.delete(PODS, 'new');
      server.delete(PODS, 'stays');
      server.faults.length = 0;
    }
  });

  it('a server that answers every watch with 410 is asked at growing distances', async () => {
    server.faults.push((seen, response) => {
      if (!seen.query.has('watch')) return false;
      refuse(response, 410, 'Expired', 'too old');
      return true;
    });
    const reflector = start();
    await until(() => reflector.status().lists > 6, 'several lists');
    expect(timers.asked.slice(0, 4)).to.deep.equal([125, 250, 500, 1000]);
    expect(reflector.status().lastError).to.contain('410');
  });

  it('one change after a long silence arrives, on the same watch', async () => {
    const reflector = start({ idleMs: 120_000 });
    await following(reflector);
    timers.aheadMs = 30 * 60_000;
    server.put(PODS, 'late');
    await until(() => known.names === 'late', 'the change came');
    expect(reflector.status().watches).to.equal(1);
  });

  it('a connection that delivers nothing any more is replaced', async () => {
    const open: net.Socket[] = [];
    const proxy = net.createServer((near) => {
      const far = net.connect(server.address);
      near.pipe(far).pipe(near);
      open.push(near, far);
      for (const socket of [near, far]) socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const reflector = start({ client: server.client((proxy.address() as net.AddressInfo).port), idleMs: 200 });
      await until(() => server.watching === 1, 'it watches');
      for (const socket of open.splice(0)) socket.unpipe().pause();
      server.put(PODS, 'unseen');
      await until(() => known.names === 'unseen', 'it came over another connection');
      expect(reflector.status().lists).to.equal(1);
    } finally {
      for (const socket of open) socket.destroy();
      proxy.close();
    }
  });

  it('a server that goes away and comes back is followed again, with nothing lost and nothing forgotten meanwhile', async () => {
    server.put(PODS, 'a');
    const reflector = start();
    await following(reflector);
    server.close();
    await until(() => reflector.status().lastError !== '', 'it noticed');
    expect(reflector.status().lastError).to.match(/nothing listens there|connection was lost/);
    expect(known.names).to.equal('a');
    server.put(PODS, 'b');
    server.delete(PODS, 'a');
    await server.listen();
    await until(() => known.names === 'b', 'it caught up');
    await following(reflector);
    expect(known.lists).to.have.length(1);
    expect(Math.max(...timers.asked)).to.be.at.most(5000);
  });

  it('waits as long as the server asks, and longer from failure to failure', async () => {
    let left = 4;
    server.faults.push((_seen, response) => {
      if (left-- <= 0) return false;
      if (left % 2 === 1) refuse(response, 429, 'TooManyRequests', 'slow down', { 'retry-after': '7' });
      else refuse(response, 500, 'InternalError', 'etcd is unwell');
      return true;
    });
    await following(start());
    expect(timers.asked).to.deep.equal([7000 + 125, 250, 7000 + 500, 1000]);
    expect(lines.filter((line) => line.includes('again'))).to.have.length(1);
  });

  it('rights revoked under way: the objects stay, the error is reported, and it goes on once they are back', async () => {
    server.put(PODS, 'a');
    const reflector = start();
    await following(reflector);
    server.faults.push((_seen, response) => {
      refuse(response, 403, 'Forbidden', 'pods is forbidden: User "x" cannot list resource "pods"');
      return true;
    });
    server.cut();
    await until(() => reflector.status().lists >= 3, 'it tries further');
    expect(reflector.status().lastError).to.match(/403 pods is forbidden/);
    expect(known.names).to.equal('a');
    expect(reflector.status().missing).to.equal(false);
    server.faults.length = 0;
    await following(reflector);
    expect(known.names).to.equal('a');
  });

  it('nonsense and half lines break the watch, not the following', async () => {
    for (const text of ['{"type":"ADDED","object":{"metad', 'no json\n', '[1]\n', '{"type":"ADDED"}\n', 'null\n']) {
      const reflector = start();
      await until(() => server.watching === 1, 'it watches');
      server.line(text);
      server.endWatches();
      const name = `after-${Buffer.from(text).toString('hex')}`;
      await until(() => reflector.status().watches >= 2 && server.watching === 1, 'it watches again');
      server.put(PODS, name);
      await until(() => known.objects.has(name), `it goes on after ${JSON.stringify(text)}`);
      reflector.stop();
      await until(() => server.watching === 0, 'it stopped');
    }
  });

  it('an object of 5 MB, cut anywhere, is whole', async () => {
    await following(start());
    server.put(PODS, 'big', { data: 'ü'.repeat(2_500_000) });
    server.put(PODS, 'next');
    await until(() => known.names === 'big next', 'both came');
    expect((known.objects.get('big') as { data?: string }).data).to.equal('ü'.repeat(2_500_000));
  });

  it('an object that cannot be read costs nothing but itself, and its last good form stays', async () => {
    const project = (raw: Record<string, unknown>): KubeObject | undefined => {
      if (raw.poison === true) throw new Error('spec.rules is a number');
      return raw.boring === true ? undefined : (raw as KubeObject);
    };
    server.put(PODS, 'a');
    server.put(PODS, 'bad', { poison: true });
    const reflector = start({ project });
    await following(reflector);
    expect(known.names).to.equal('a');
    server.put(PODS, 'a', { poison: true });
    await until(() => lines.some((line) => line.includes('object=a')), 'the new form was seen');
    server.version++;
    server.compact();
    server.endWatches();
    await until(() => reflector.status().lists === 2, 'it lists again');
    await following(reflector);
    expect(known.names).to.equal('a');
    lines.length = 0;
    server.put(PODS, 'b');
    await until(() => known.names === 'a b', 'b came');
    server.put(PODS, 'a', { poison: true });
    await until(() => lines.filter((line) => line.includes('spec.rules is a number')).length === 1, 'it is logged each time');
    server.put(PODS, 'b', { boring: true });
    await until(() => known.names === 'a', 'what is of no interest any more goes');
    server.put(PODS, 'a', { poison: true });
    server.delete(PODS, 'a');
    await until(() => known.names === '', 'it can be deleted all the same');
  });

  it('waits for a kind that is not served yet', async () => {
    const path = '/apis/gateway.networking.k8s.io/v1/grpcroutes';
    let served = false;
    server.faults.push((_seen, response) => {
      if (!served) refuse(response, 404, 'NotFound', 'the server could not find the requested resource');
      return !served;
    });
    server.put(path, 'route');
    const reflector = start({ kind: grpcRouteKind });
    await until(() => reflector.status().lists >= 3, 'it polls');
    expect(reflector.status()).to.include({ missing: true, synced: false });
    expect(new Set(timers.asked)).to.deep.equal(new Set([3000]));
    expect(known.lists).to.deep.equal([]);
    served = true;
    await until(() => known.names === 'route', 'it is found');
    expect(reflector.status()).to.include({ missing: false, synced: true });
    expect(lines.filter((line) => line.includes('does not serve this kind'))).to.have.length(1);
  });

  it('a kind that is no longer served: its objects stay until it is back', async () => {
    server.put(PODS, 'a');
    const reflector = start();
    await following(reflector);
    server.faults.push((_seen, response) => {
      refuse(response, 404, 'NotFound', 'the server could not find the requested resource');
      return true;
    });
    server.endWatches();
    await until(() => reflector.status().missing && reflector.status().lists >= 3, 'it is missed');
    expect(reflector.status().watches).to.equal(2);
    expect(known.names).to.equal('a');
    server.delete(PODS, 'a');
    server.faults.length = 0;
    await until(() => known.names === '', 'it is listed again');
  });

  it('lists anew when its version is refused again and again', async () => {
    let refused = 0;
    server.faults.push((seen, response) => {
      if (!seen.query.has('watch') || refused >= 3) return false;
      refused++;
      refuse(response, 504, 'Timeout', 'Too large resource version: 900, current: 100');
      return true;
    });
    await following(start());
    expect(known.lists).to.have.length(2);
  });

  it('an answer that is not a list is an error, not an empty list', async () => {
    server.put(PODS, 'a');
    let broken = true;
    server.faults.push((_seen, response) => {
      if (broken) reply(response, 200, { hello: 'proxy' });
      return broken;
    });
    const reflector = start();
    await until(() => reflector.status().lastError.includes('not a list'), 'it is reported');
    expect(known.lists).to.deep.equal([]);
    broken = false;
    await until(() => known.names === 'a', 'it went on');
  });

  it('says nothing after it was stopped', async () => {
    const reflector = start();
    await following(reflector);
    reflector.stop();
    server.put(PODS, 'a');
    await until(() => server.watching === 0, 'the watch ended');
    expect(known.calls).to.deep.equal([]);
  });

  it('a handler that throws ends the program', async () => {
    for (const throwing of ['synced', 'applied']) {
      const program = `
        const { Reflector } = await import(${JSON.stringify(new URL('../../kube/reflector.ts', import.meta.url).href)});
        const client = {
          server: 'x',
          request: async () => ({ metadata: { resourceVersion: '1' }, items: [] }),
          watch: (path, { onEvent }) => new Promise(() => setTimeout(() => onEvent({ type: 'ADDED', object: {} }), 1)),
        };
        const handler = { synced() {}, applied() {}, removed() {}, ${throwing}() { throw new Error('bug in ${throwing}'); } };
        const timers = { now: () => 0, after: () => () => {} };
        new Reflector({ client, kind: {}, project: (raw) => raw, handler, timers, random: () => 0, log: console }).start();
        setTimeout(() => process.exit(0), 10000);`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.on('data', (chunk) => void (stderr += chunk));
      const code = await new Promise((resolve) => child.on('close', resolve));
      expect(stderr).to.contain(`bug in ${throwing}`);
      expect(code).to.equal(1);
    }
  });
});
