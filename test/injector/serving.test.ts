// The webhook's certificate over a year and more: replicas that race, rotation in order, a Secret that is lost or
// spoilt, an edited caBundle.
import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import type { ServingLeaf } from '#certs/serving.ts';
import { silentLogger } from '#core/program/log.ts';
import { SERVING_SECRET, ServingCertificate } from '#injector/serving-certificate.ts';
import { decodeState } from '#injector/serving-rotation.ts';
import { BundleKeeper, projectConfiguration } from '#injector/webhook-configuration.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { ManualTimers } from '#test/support/manual-timers.ts';
import { until } from '#test/support/until.ts';
import { MemoryApi } from './memory-api.ts';

const START = Date.UTC(2026, 0, 1);
const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const NAMES = ['weft-injector.weft-system.svc'];
const SECRET = { kind: KINDS.Secret, namespace: 'weft-system', name: SERVING_SECRET };
const SECRET_PATH = `/api/v1/namespaces/weft-system/secrets/${SERVING_SECRET}`;
const WEBHOOK = { kind: KINDS.MutatingWebhookConfiguration, name: 'weft-injector' };
const WEBHOOK_PATH = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/weft-injector';

const configuration = (bundles: (string | undefined)[]) => ({
  webhooks: bundles.map((caBundle, i) => ({
    name: `w${i}`,
    failurePolicy: 'Fail',
    clientConfig: { service: { name: 'x' }, ...(caBundle !== undefined && { caBundle }) },
  })),
});

/** One injector's halves that deal with certificates, as program.ts joins them. */
function replica(api: MemoryApi, timers: ManualTimers) {
  const leaves: ServingLeaf[] = [];
  const shared = { client: api, timers, random: () => 0.5, log: silentLogger };
  const certificate: ServingCertificate = new ServingCertificate({
    ...shared,
    namespace: 'weft-system',
    names: NAMES,
    trusted: () => keeper.trusted(),
    onLeaf: (leaf) => void leaves.push(leaf),
    onChecked: () => keeper.check(),
  });
  const keeper = new BundleKeeper({
    ...shared,
    bundle: () => certificate.bundle(),
    refresh: () => certificate.refresh(),
    onPatched: () => {},
  });
  const see = () => {
    const found = api.objects.get(WEBHOOK_PATH);
    if (found === undefined) keeper.handler.removed();
    else keeper.handler.applied(projectConfiguration(found));
  };
  return { certificate, keeper, leaves, see };
}

function bundlesOf(api: MemoryApi): string[] {
  const { webhooks } = api.objects.get(WEBHOOK_PATH) as never as { webhooks: { clientConfig: { caBundle?: string } }[] };
  return webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString());
}

describe('the webhook’s certificate', () => {
  let api: MemoryApi;
  let timers: ManualTimers;
  let running: ReturnType<typeof replica>[];

  beforeEach(() => {
    api = new MemoryApi();
    timers = new ManualTimers(START);
    running = [];
  });

  afterEach(() => {
    for (const { certificate, keeper } of running) {
      certificate.stop();
      keeper.stop();
    }
  });

  function start(count = 1): ReturnType<typeof replica>[] {
    const replicas = Array.from({ length: count }, () => replica(api, timers));
    running.push(...replicas);
    api.onChange = (path) => {
      // As a watch does: later.
      if (path === WEBHOOK_PATH) setImmediate(() => running.forEach((one) => void one.see()));
    };
    for (const { certificate, see } of replicas) {
      certificate.start();
      see();
    }
    return replicas;
  }

  async function settled(...replicas: ReturnType<typeof replica>[]): Promise<void> {
    await until(async () => {
      for (const { certificate } of replicas) await certificate.refresh();
      // The distance that is kept between two writes.
      timers.advance(100);
      return replicas.every((one) => bundlesOf(api).every((bundle) => bundle === one.certificate.bundle()));
    }, 'the bundle is in force');
  }

  /** Lets time pass in steps, each long enough for a look at the Secret, short enough for nothing to be skipped. */
  async function pass(ms: number, stepMs: number, each: () => void = () => {}): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      timers.advance(stepMs);
      await settled(...running);
      each();
    }
  }

  it('is made once, whichever of five replicas comes first, and trusted by every webhook', async () => {
    api.put(WEBHOOK, configuration([undefined, 'b2xk', undefined]));
    const replicas = start(5);
    await until(() => replicas.every(({ leaves }) => leaves.length === 1), 'all have a leaf');
    await settled(...replicas);
    const { current } = decodeState((api.objects.get(SECRET_PATH) as never as { data: Record<string, string> }).data);
    expect(new Set(replicas.map(({ certificate }) => certificate.bundle()))).to.deep.equal(new Set([current.certificate]));
    for (const { leaves } of replicas) {
      expect(new X509Certificate(leaves[0].certificate).verify(new X509Certificate(current.certificate).publicKey)).to.equal(true);
      expect(leaves[0].notAfterMs).to.equal(START + DAY_MS);
    }
    expect(bundlesOf(api)).to.deep.equal([current.certificate, current.certificate, current.certificate]);
    // Nothing but the one field was written.
    const stripped = JSON.parse(JSON.stringify(api.objects.get(WEBHOOK_PATH)).replaceAll(/,"caBundle":"[^"]*"/g, ''));
    expect(stripped.webhooks).to.deep.equal(configuration([undefined, undefined, undefined]).webhooks);
    expect(replicas.map(({ keeper }) => keeper.notReady())).to.deep.equal(['', '', '', '', '']);
  });

  it('is renewed at half its life', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const [{ leaves }] = start();
    await settled(...running);
    await pass(11 * HOUR_MS, HOUR_MS);
    expect(leaves).to.have.length(1);
    await pass(2 * HOUR_MS, HOUR_MS);
    expect(leaves).to.have.length(2);
    expect(leaves[1].notAfterMs - leaves[0].notAfterMs).to.be.within(11 * HOUR_MS, 14 * HOUR_MS);
  });

  it('has an authority that is followed by another without a moment of distrust', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const [one, two] = start(2);
    await settled(one, two);
    const first = one.certificate.bundle();
    const states = new Set<string>();
    const check = () => {
      const trusted = bundlesOf(api)[0]
        .match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)!
        .map((pem) => new X509Certificate(pem));
      states.add(String(trusted.length));
      for (const { leaves } of running) {
        const leaf = new X509Certificate(leaves.at(-1)!.certificate);
        expect(trusted.some((root) => leaf.verify(root.publicKey) && leaf.checkIssued(root))).to.equal(true);
        expect(Date.parse(leaf.validTo)).to.be.greaterThan(timers.now());
      }
    };
    await pass(240 * DAY_MS, 5 * DAY_MS, check);
    expect(states).to.deep.equal(new Set(['1']));
    await pass(5 * DAY_MS, 6 * HOUR_MS, check);
    expect(states).to.deep.equal(new Set(['1', '2']));
    await pass(3 * DAY_MS, 6 * HOUR_MS, check);
    const issuer = new X509Certificate(one.leaves.at(-1)!.certificate);
    expect(issuer.verify(new X509Certificate(first).publicKey)).to.equal(false);
    await pass(130 * DAY_MS, 5 * DAY_MS, check);
    expect(one.certificate.bundle()).to.not.include(first.trim());
    expect(two.certificate.bundle()).to.equal(one.certificate.bundle());
  });

  it('does not let a successor sign before the API server trusts it', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const [one] = start();
    await settled(one);
    const first = one.certificate.bundle();
    // The configuration cannot be written any more, and the watch is silent.
    api.onChange = () => {};
    const forbidden = new KubeError('forbidden', 403, 'Forbidden');
    const request = api.request.bind(api);
    api.request = ((method: 'PATCH', path: never, options: never) =>
      method === 'PATCH' ? Promise.reject(forbidden) : request(method, path, options)) as never;
    for (let day = 0; day < 300; day += 5) {
      timers.advance(5 * DAY_MS);
      await one.certificate.refresh();
    }
    expect(one.certificate.bundle().match(/BEGIN/g)).to.have.length(2);
    const leaf = new X509Certificate(one.leaves.at(-1)!.certificate);
    expect(leaf.verify(new X509Certificate(first).publicKey)).to.equal(true);
  });

  it('survives the loss of its Secret, and one that is spoilt: what the API server trusts goes on', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const [one] = start();
    await settled(one);
    const first = one.certificate.bundle();
    api.objects.delete(SECRET_PATH);
    await one.certificate.refresh();
    expect(one.certificate.bundle()).to.equal(first);
    expect(api.objects.has(SECRET_PATH)).to.equal(true);
    api.put(SECRET, { data: { 'ca.crt': 'AAAA' } });
    await one.certificate.refresh();
    await settled(one);
    expect(one.certificate.bundle()).to.equal(first);
    expect(one.leaves).to.have.length(1);
    const [two] = start();
    await settled(one, two);
    expect(two.certificate.bundle()).to.equal(first);
  });

  it('replaces a Secret that is spoilt from the start', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    api.put(SECRET, { data: { 'ca.crt': 'AAAA' } });
    const [one] = start();
    await settled(one);
    expect(one.certificate.bundle()).to.include('BEGIN CERTIFICATE');
    expect(one.leaves).to.have.length(1);
  });

  it('is repaired when the edit comes between our write and its answer', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const request = api.request.bind(api);
    let edits = 0;
    api.request = (async (method: 'PATCH', path: never, options: never) => {
      const answer = await request(method, path, options);
      if (method !== 'PATCH' || edits++ > 0) return answer;
      api.put(WEBHOOK, configuration([Buffer.from('evil').toString('base64')]));
      // The watch is faster than the answer.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      return answer;
    }) as never;
    const [one] = start();
    await until(() => edits === 1, 'it was written');
    await until(() => {
      timers.advance(100);
      return bundlesOf(api)[0] === one.certificate.bundle();
    }, 'it is repaired');
  });

  it('goes on serving while the API server is away', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const [one] = start();
    await settled(one);
    api.failure = new KubeError('connection refused', 0, 'ECONNREFUSED');
    await one.certificate.refresh();
    expect(one.leaves).to.have.length(1);
    expect(one.certificate.bundle()).to.not.equal('');
    api.failure = undefined;
    await settled(one);
  });

  it('starts when the API server comes', async () => {
    api.failure = new KubeError('connection refused', 0, 'ECONNREFUSED');
    const [one] = start();
    await one.certificate.refresh();
    expect(one.leaves).to.have.length(0);
    expect(one.keeper.notReady()).to.include('is not there');
    api.failure = undefined;
    api.put(WEBHOOK, configuration([undefined]));
    await until(() => {
      timers.advance(1000);
      return one.leaves.length === 1;
    }, 'there is a leaf');
    await settled(one);
  });

  it('is repaired in the webhook when another client edits it, after a look at what is right', async () => {
    api.put(WEBHOOK, configuration([undefined, undefined]));
    const [one, two] = start(2);
    await settled(one, two);
    for (let i = 0; i < 3; i++) {
      timers.advance(1000);
      api.put(WEBHOOK, configuration([Buffer.from('evil').toString('base64'), undefined]));
      await until(() => {
        // The distance that is kept between two writes.
        timers.advance(100);
        return bundlesOf(api).every((bundle) => bundle === one.certificate.bundle());
      }, 'it is repaired');
    }
    // The configuration may also go and come back.
    api.objects.delete(WEBHOOK_PATH);
    running.forEach((each) => void each.see());
    timers.advance(1000);
    api.put(WEBHOOK, configuration([undefined]));
    await until(() => {
      timers.advance(100);
      return bundlesOf(api)[0] === two.certificate.bundle();
    }, 'it is set again');
    expect(one.keeper.notReady()).to.equal('');
  });

  it('does not write where the list has changed under way', async () => {
    api.put(WEBHOOK, configuration([undefined]));
    const one = replica(api, timers);
    running.push(one);
    one.see();
    api.put(WEBHOOK, { webhooks: [{ name: 'other', clientConfig: {} }, ...configuration([undefined]).webhooks] });
    one.certificate.start();
    await until(() => api.requests.some((request) => request.startsWith('PATCH')), 'it was tried');
    await one.certificate.refresh();
    expect(bundlesOf(api)[0]).to.equal('');
    one.see();
    await until(() => {
      timers.advance(1000);
      return bundlesOf(api).every((bundle) => bundle === one.certificate.bundle());
    }, 'both are set');
  });
});
