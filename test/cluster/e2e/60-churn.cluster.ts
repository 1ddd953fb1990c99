// Calls under a steady load while everything around them goes and comes: backends, the control plane, the API server,
// certificates.
import { expect } from 'chai';
import { CONTROL_PLANE_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { openCluster } from '../session.ts';
import type { Call, Caller, LoadResult } from '../support/caller.ts';
import { install } from '../support/install.ts';
import { eventually } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-churn';
const ECHO: Call = { to: 'echo:7070' };
const RATE = 200;
const AWAY_SECONDS = Number(process.env.WEFT_AWAY_SECONDS ?? 120);
const API_AWAY_SECONDS = Number(process.env.WEFT_API_AWAY_SECONDS ?? 60);
/** A tenth of a second's calls: more are not under way at a time, even on a busy machine. */
const CUT_CALLS = RATE / 10;
const LEAF_SECONDS = 60;
const ROTATIONS = Number(process.env.WEFT_ROTATIONS ?? 3);
/** At half of its life a leaf is renewed. */
const ROTATING_MS = ROTATIONS * LEAF_SECONDS * 500 + 60_000;

describe('Under load', () => {
  const stage = scene({ [NS]: INJECT });
  let caller: Caller;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      // The echo server answers for up to 10 s after SIGTERM, and then breaks off what it is answering.
      echo({ namespace: NS, name: 'echo', replicas: 3, pod: { terminationGracePeriodSeconds: 30 } }),
      service(NS, 'echo'),
      grpcRoute(NS, 'echo', 'echo', [{ filters: [answerHeader('x-round', '0')], backendRefs: [backend('echo')] }]),
    );
    [caller] = await Promise.all([stage.caller(NS), stage.objects.rolledOut(NS, 'echo')]);
    await caller.until('the route', ECHO, ({ headers }) => headers['x-round'] === '0');
  });

  it('a rolling restart of the backends fails no call', async function () {
    this.timeout(300_000);
    const load = await caller.load({ ...ECHO, rps: RATE });
    const old = await pods();
    await stage.objects.must(['rollout', 'restart', 'deployment/echo', '-n', NS]);
    await stage.objects.rolledOut(NS, 'echo');
    await eventually('the old pods to be gone', async () => (await pods()).every((name) => !old.includes(name)));
    unharmed(await load.stop());
  });

  it(`a control plane that is away for ${AWAY_SECONDS} s fails no call, and what changed meanwhile comes into force`, async function () {
    this.timeout((AWAY_SECONDS + 240) * 1000);
    const load = await caller.load({ ...ECHO, rps: RATE });
    await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 0);
    try {
      await eventually('the control plane to be gone', async () => (await controlPlanes()) === 0);
      await showsRound('1');
      await new Promise((resolve) => setTimeout(resolve, AWAY_SECONDS * 1000));
      expect((await caller.grpc(ECHO)).headers['x-round'], 'the last route that it received').to.equal('0');
    } finally {
      await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 1);
    }
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    await caller.until('the new route', ECHO, ({ headers }) => headers['x-round'] === '1');
    unharmed(await load.stop());
  });

  it('a backend that ends while the control plane is away costs at most the calls that it was answering', async function () {
    this.timeout(300_000);
    const load = await caller.load({ ...ECHO, rps: RATE });
    await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 0);
    try {
      await eventually('the control plane to be gone', async () => (await controlPlanes()) === 0);
      const [victim] = await pods();
      await stage.objects.delete('pod', victim!, NS, ['--wait=true']);
      await new Promise((resolve) => setTimeout(resolve, 5000));
    } finally {
      await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 1);
    }
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    await stage.objects.rolledOut(NS, 'echo');
    // Nobody tells the callers, so they send to it until it cuts its connections.
    const { total } = await load.stop();
    expect(total.failed, JSON.stringify(total.errors)).to.be.at.most(CUT_CALLS);
  });

  it(`an API server that is away for ${API_AWAY_SECONDS} s fails no call, and changes are followed again`, async function () {
    this.timeout((API_AWAY_SECONDS + 240) * 1000);
    const session = await openCluster();
    if (session.external) this.skip();
    const load = await caller.load({ ...ECHO, rps: RATE });
    await session.stop('apiserver', 'SIGKILL');
    try {
      await new Promise((resolve) => setTimeout(resolve, API_AWAY_SECONDS * 1000));
    } finally {
      await session.start('apiserver');
    }
    await eventually('the API server', async () => (await stage.objects.run(['get', '--raw', '/readyz'])).code === 0);
    await showsRound('2');
    await caller.until('the new route', ECHO, ({ headers }) => headers['x-round'] === '2');
    unharmed(await load.stop());
  });

  it(`${ROTATIONS} rotations of certificates that live ${LEAF_SECONDS} s fail no call`, async function () {
    this.timeout(ROTATING_MS + 300_000);
    await install(stage.objects, `controlPlane.leafSeconds=${LEAF_SECONDS}`);
    try {
      // Sidecars renew at half of a leaf's life, and those they have live twelve hours: new pods have short ones from
      // the start.
      await stage.objects.must(['rollout', 'restart', 'deployment/echo', '-n', NS]);
      await stage.objects.rolledOut(NS, 'echo');
      const young = await stage.caller(NS, 'young');
      await young.until('an answer', ECHO, ({ grpcStatus }) => grpcStatus === 0);
      const load = await young.load({ ...ECHO, rps: RATE });
      const seen = new Set<string>();
      await eventually(
        `${ROTATIONS} rotations`,
        async () => {
          seen.add(await expiryOf(young));
          return seen.size > ROTATIONS;
        },
        ROTATING_MS,
        2000,
      );
      unharmed(await load.stop());
    } finally {
      await install(stage.objects);
    }
  });

  /** The metric of the caller's own sidecar: when its certificate ends. */
  async function expiryOf(of: Caller): Promise<string> {
    const { status, body } = await of.http({ url: 'http://127.0.0.1:15020/metrics' });
    const value = /^weft_certificate_expiry_timestamp_seconds(?:\{[^}]*\})? (\S+)$/m.exec(body)?.[1];
    if (status !== 200 || value === undefined) throw new Error('the sidecar does not say when its certificate ends');
    return value;
  }

  async function showsRound(value: string): Promise<void> {
    await stage.objects.apply(
      grpcRoute(NS, 'echo', 'echo', [{ filters: [answerHeader('x-round', value)], backendRefs: [backend('echo')] }]),
    );
  }

  async function pods(): Promise<string[]> {
    return (await stage.objects.list('pods', NS, 'app=echo')).map(({ metadata }) => metadata.name);
  }

  async function controlPlanes(): Promise<number> {
    return (await stage.objects.list('pods', SYSTEM_NAMESPACE, 'app.kubernetes.io/component=control-plane')).length;
  }
});

function unharmed({ total, connectionsMade }: LoadResult): void {
  expect(total.failed, JSON.stringify(total.errors)).to.equal(0);
  expect(total.calls, 'calls').to.be.greaterThan(RATE);
  expect(Object.keys(total.answers)).to.deep.equal(['echo']);
  // The application's own connections end at its sidecar, which has no reason to close them.
  expect(connectionsMade, 'connections').to.equal(2);
}
