// Counts between replicas on the wire: real control planes on loopback, mTLS, and peers that are not what they should be.
import { createPrivateKey } from 'node:crypto';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { ServerRotation } from '#certs/rotation.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { serviceDefinition } from '#control-plane/publish/wire.ts';
import { type Follow, type FollowEnd, followerOf } from '#control-plane/replicas/follow.ts';
import { type FollowCall, MOST_FOLLOWERS, Reporting } from '#control-plane/replicas/reporting.ts';
import { type ReplicaReport, Replicas } from '#core/contract/gen/weft/v1/replicas_pb.ts';
import { controlPlaneSpiffeId } from '#core/contract/identity.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import type { KubeObject } from '#kube/object.ts';
import { freePorts } from '../../support/free-port.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';
import { certify, dial, type Sidecar } from '../publish/sidecar.ts';

const OBJECTS = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'payment', namespace: 'shop' },
    spec: { clusterIP: '10.0.0.1', ports: [{ port: 80 }] },
  },
  { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'checkout-1', namespace: 'shop' }, spec: { serviceAccountName: 'checkout' } },
] as unknown as KubeObject[];

/** What came on one stream. */
interface Heard {
  readonly reports: ReplicaReport[];
  end: FollowEnd | null;
  close(): void;
}

describe('control-plane/replicas: follow', () => {
  let authority: Authority;
  let leader: ServerRotation;
  let follow: Follow;
  let other: ControlPlane;
  const cleanUp: (() => void | Promise<void>)[] = [];

  before(async () => {
    authority = await Authority.create({ trustDomain: 'test.local', now: Date.now });
    leader = await rotationOf(authority);
    follow = followerOf({ rotation: leader, replica: 'weft-0', timers: systemTimers });
  });

  after(() => leader.stop());

  beforeEach(async () => {
    other = await start('weft-1');
    cleanUp.push(() => other.close());
  });

  afterEach(async () => {
    for (const undo of cleanUp.splice(0).reverse()) await undo();
  });

  async function rotationOf(of: Authority): Promise<ServerRotation> {
    const rotation = new ServerRotation({ authority: of, timers: systemTimers, random: () => 0.5 });
    await rotation.start();
    return rotation;
  }

  function start(replica?: string): Promise<ControlPlane> {
    return startControlPlane({
      authority,
      verifyToken: async () => ({ error: 'none here' }),
      host: '127.0.0.1',
      port: 0,
      objects: OBJECTS,
      log: silentLogger,
      ...(replica === undefined ? {} : { replica }),
    });
  }

  function listen(port: number, by = follow): Heard {
    const heard: Heard = { reports: [], end: null, close: () => close() };
    const close = by(
      { name: 'weft-1', address: '127.0.0.1', port, serving: true },
      {
        report: (report) => heard.reports.push(report),
        ended: (end) => {
          heard.end = end;
        },
      },
    );
    cleanUp.push(close);
    return heard;
  }

  async function sidecar(services: string[]): Promise<Sidecar> {
    const opened = dial(other.port, authority.rootsPem(), await certify(authority, 'shop', 'checkout'));
    cleanUp.push(() => opened.close());
    return opened.hello('checkout-1', services);
  }

  const counts = ({ reports }: Heard) =>
    reports.flatMap((report) =>
      report.counts.map(({ service, version, want, applied, rejected }) => ({ service, version, want, applied, rejected })),
    );

  it('hears everything at once, then what changes, and nothing while nothing does', async () => {
    const heard = listen(other.port);
    await until(() => heard.reports.length === 1, 'the first report is there');
    expect(heard.reports[0]).to.deep.include({ replica: 'weft-1', counts: [], complete: true });
    const first = await sidecar(['shop/payment']);
    const version = other.publisher.catalogue.version('shop/payment');
    await until(() => counts(heard).at(-1)?.applied === 1, 'the sidecar that has answered is counted');
    expect(counts(heard).at(-1)).to.deep.equal({ service: 'shop/payment', version, want: 1, applied: 1, rejected: 0 });
    const before = heard.reports.length;
    // A change that is none for what is counted: an exchange on the sidecar's stream, without another count.
    other.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'else', namespace: 'shop' },
      spec: { ports: [{ port: 1 }] },
    } as unknown as KubeObject);
    await first.until(() => first.inForce.has('address/shop/else'));
    first.want('shop/nowhere');
    await first.until(() => first.responses.some(({ absent }) => absent.includes('shop/nowhere')));
    first.close();
    await until(() => counts(heard).at(-1)?.want === 0, 'the sidecar that has gone is not counted');
    expect(heard.reports.length).to.equal(before + 1);
  });

  it('hears of a sidecar that refuses, with its reason', async () => {
    const heard = listen(other.port);
    const refusing = await sidecar([]);
    refusing.rejects.add('service/shop/payment');
    refusing.want('shop/payment');
    await until(() => counts(heard).at(-1)?.rejected === 1, 'the refusal is counted');
    expect(heard.reports.at(-1)!.counts[0]!.refusals).to.deep.equal([
      { $typeName: 'weft.v1.Refusal', pod: 'shop/checkout-1', reason: 'cannot compile' },
    ]);
  });

  it('says to a follower that comes later what all run, in several messages where there is much', async () => {
    const standings = new Map(
      Array.from({ length: 1201 }, (_, i) => [`shop/s${i}`, { version: 'v', applied: { want: 2, applied: 1, rejected: [] } }] as const),
    );
    const heard = listen(await serve(standings));
    await until(() => heard.reports.some(({ complete }) => complete), 'everything has been said');
    expect(heard.reports.map(({ counts: { length }, complete }) => `${length} ${complete}`)).to.deep.equal([
      '500 false',
      '500 false',
      '201 true',
    ]);
  });

  it('is refused with the certificate of a workload', async () => {
    const { chain, key } = await certify(authority, 'weft-system', 'weft-injector');
    const asWorkload = {
      ...leader,
      authority,
      current: () => ({ ...leader.current()!, ...leafOf(chain, key) }),
    } as unknown as ServerRotation;
    const heard = listen(other.port, followerOf({ rotation: asWorkload, replica: 'weft-0', timers: systemTimers }));
    await until(() => heard.end !== null, 'it is refused');
    expect(heard.end).to.deep.equal({ reason: 'a certificate of the control plane is needed', refused: false });
    expect(heard.reports).to.deep.equal([]);
  });

  it('takes no peer for a replica that is not one: another authority, another identity', async () => {
    const foreign = await Authority.create({ trustDomain: 'test.local', now: Date.now });
    const rotation = await rotationOf(foreign);
    cleanUp.push(() => rotation.stop());
    const heard = listen(await serve(new Map(), rotation));
    await until(() => heard.end !== null, 'it is not believed');
    expect(heard.end!.refused).to.equal(false);
    expect(heard.reports).to.deep.equal([]);
    const { chain, key } = await certify(authority, 'shop', 'checkout');
    const workload = {
      ...leader,
      authority,
      current: () => ({ ...leader.current()!, ...leafOf(chain, key) }),
    } as unknown as ServerRotation;
    const again = listen(await serve(new Map(), workload));
    await until(() => again.end !== null, 'it is not believed either');
    expect(again.end!.reason).to.match(/not a control plane/);
    expect(again.reports).to.deep.equal([]);
  });

  it('finds out that nothing listens, and that a replica is of an older version', async () => {
    const [port] = await freePorts(1);
    const nobody = listen(port!);
    const older = await start();
    cleanUp.push(() => older.close());
    const unaware = listen(older.port);
    await until(() => nobody.end !== null && unaware.end !== null, 'both have ended');
    expect(nobody.end!.refused).to.equal(true);
    expect(unaware.end!.refused).to.equal(false);
    expect(unaware.end!.reason).to.match(/does not implement/);
  });

  it('ends when the replica goes', async () => {
    const heard = listen(other.port);
    await until(() => heard.reports.length === 1, 'the first report is there');
    await other.close();
    await until(() => heard.end !== null, 'it has ended');
  });

  it('is one of a few: further followers are refused', async () => {
    const all = Array.from({ length: MOST_FOLLOWERS + 1 }, () => listen(other.port));
    await until(() => all.filter(({ reports }) => reports.length > 0).length === MOST_FOLLOWERS, 'so many are served');
    await until(() => all.some(({ end }) => end !== null), 'one is refused');
    expect(all.filter(({ end }) => end !== null)).to.have.length(1);
    all.find(({ end }) => end === null)!.close();
    await until(async () => {
      const next = listen(other.port);
      await until(() => next.reports.length + Number(next.end !== null) > 0, 'an answer');
      return next.reports.length > 0;
    }, 'there is room again');
  });

  it('ends with the certificate that opened it', () => {
    const timers = new ManualTimers(1000);
    const ended: number[] = [];
    const reporting = new Reporting({
      replica: 'weft-1',
      trustDomain: 'test.local',
      standings: () => new Map(),
      identify: () => ({ ok: true, identity: controlPlaneSpiffeId('test.local'), notAfterMs: 6000 }) as never,
      timers,
      log: silentLogger,
    });
    const call = {
      request: { replica: 'weft-0' },
      on: () => {},
      write: () => true,
      emit: (_: string, error: { code: number }) => ended.push(error.code),
    } as unknown as FollowCall;
    (reporting.handlers().follow as unknown as (call: FollowCall) => void)(call);
    timers.advance(4999);
    expect(ended).to.deep.equal([]);
    timers.advance(1);
    expect(ended).to.deep.equal([status.UNAUTHENTICATED]);
  });

  /** A port that reports these, with the certificate of this rotation. */
  async function serve(standings: ReadonlyMap<string, never> | ReadonlyMap<string, object>, rotation = leader): Promise<number> {
    const reporting = new Reporting({
      replica: 'weft-1',
      trustDomain: 'test.local',
      standings: () => standings as never,
      identify: () => ({ ok: true, identity: controlPlaneSpiffeId('test.local'), notAfterMs: Date.now() + 60_000 }) as never,
      timers: systemTimers,
      log: silentLogger,
    });
    const server = new Server();
    server.addService(serviceDefinition(Replicas), reporting.handlers());
    const leaf = rotation.current()!;
    const pem = leaf.chain
      .map((der) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`)
      .join('');
    const key = leaf.key.export({ format: 'pem', type: 'pkcs8' }) as string;
    const credentials = ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(pem), private_key: Buffer.from(key) }]);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error))),
    );
    cleanUp.push(() => server.forceShutdown());
    return port;
  }
});

function leafOf(chain: Buffer, key: Buffer) {
  const der = chain
    .toString()
    .split('-----END CERTIFICATE-----')
    .filter((part) => part.includes('BEGIN'))
    .map((part) => Buffer.from(part.split('-----BEGIN CERTIFICATE-----')[1]!.replace(/\s/g, ''), 'base64'));
  return { chain: der, key: createPrivateKey(key) };
}
