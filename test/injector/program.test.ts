// The whole injector on loopback, against an API server's memory: when it is ready, which objects it follows, and that
// it stops.
import https from 'node:https';
import { expect } from 'chai';
import { applyPatch } from 'rfc6902';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { type Injector, startInjector } from '#injector/program.ts';
import { readInjectorSettings } from '#injector/settings.ts';
import { KINDS } from '#kube/api.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { podKind } from '#objects/pod.ts';
import { craftAuthority } from '#test/support/craft-certificate.ts';
import { until } from '#test/support/until.ts';
import { MemoryApi } from './memory-api.ts';

const NAME = 'weft-injector.weft-system.svc';
const ROOTS = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const TRUST = { kind: KINDS.ConfigMap, namespace: 'weft-system', name: 'weft-trust' };
const WEBHOOK = { kind: KINDS.MutatingWebhookConfiguration, name: 'weft-injector' };
const WEBHOOK_PATH = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/weft-injector';
const shop = { kind: namespaceKind, name: 'shop' };

describe('the injector', () => {
  let api: MemoryApi;
  let injector: Injector;

  beforeEach(async () => {
    api = new MemoryApi();
    const read = readInjectorSettings({ WEFT_IMAGE: 'weft:1', WEFT_HOST: '127.0.0.1' });
    if ('problems' in read) throw new Error(read.problems.join());
    // Time is the system's, but nothing waits a minute, or lingers.
    const timers = { ...systemTimers, after: (ms: number, then: () => void) => systemTimers.after(Math.min(ms, 50), then) };
    const onFatal = (error: Error): never => {
      throw error;
    };
    injector = await startInjector(
      { ...read.settings, webhookPort: 0, healthPort: 0 },
      { client: api, timers, secret: () => 'secret', resolve: async () => '10.96.0.7', random: () => 0.5, log: silentLogger, onFatal },
    );
  });

  afterEach(() => injector.stop());

  function ready(): Promise<string> {
    return fetch(`http://127.0.0.1:${injector.healthPort}/readyz`).then((response) => response.text());
  }

  /** As the API server does: by the caBundle that stands in the configuration. */
  function review(
    pod: object,
    namespace = 'shop',
    agent: https.Agent | false = false,
  ): Promise<{ allowed: boolean; patch?: string; status?: { message: string } }> {
    const { webhooks } = api.objects.get(WEBHOOK_PATH) as never as { webhooks: { clientConfig: { caBundle: string } }[] };
    const body = JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: { uid: 'u', kind: { kind: 'Pod' }, operation: 'CREATE', namespace, object: pod },
    });
    return new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: injector.webhookPort(),
        servername: NAME,
        path: '/inject?timeout=5s',
        method: 'POST',
        agent,
        ca: Buffer.from(webhooks[0].clientConfig.caBundle, 'base64').toString(),
        headers: { 'content-type': 'application/json' },
      };
      const request = https.request(options, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => resolve(JSON.parse(text).response));
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  async function install(): Promise<void> {
    api.put(WEBHOOK, { webhooks: [{ name: 'w', clientConfig: {} }] });
    await until(async () => (await ready()).includes('roots are not known'), 'only the roots are missing');
  }

  it('is ready when namespaces and roots are known and the API server trusts it', async () => {
    await until(async () => (await ready()).includes('ConfigMap weft-system/weft-trust'), 'the roots are missing');
    api.put(TRUST, { data: { 'roots.pem': `# comment\n${ROOTS}` } });
    await until(async () => (await ready()).includes('MutatingWebhookConfiguration weft-injector is not there'), 'the webhook is missing');
    api.put(WEBHOOK, { webhooks: [{ name: 'w', clientConfig: {} }] });
    await until(async () => (await ready()) === 'ok\n', 'it is ready');
    // What is known stays known.
    api.remove(TRUST);
    api.remove(WEBHOOK);
    expect(await ready()).to.equal('ok\n');
  });

  it('injects with the roots of the moment, by labels that may have changed a moment ago', async () => {
    await install();
    const pod = { metadata: {}, spec: { containers: [{ name: 'app' }] } };
    api.put(shop, { metadata: { labels: { 'weft.dev/inject': 'enabled' } } });
    expect((await review(pod)).status?.message).to.include('try again');
    api.put(TRUST, { data: { 'roots.pem': ROOTS } });
    await until(async () => (await ready()) === 'ok\n', 'it is ready');
    const { patch } = await review(pod);
    applyPatch(pod, JSON.parse(Buffer.from(patch!, 'base64').toString()));
    const sidecar = (pod.spec as never as { initContainers: { env?: { name: string; value?: string }[] }[] }).initContainers[0];
    expect(sidecar.env?.find(({ name }) => name === 'WEFT_TRUST_ROOTS')?.value).to.equal(ROOTS);
    api.put(shop, { metadata: { labels: {} } });
    expect((await review({ spec: { containers: [] } })).patch).to.equal(undefined);
    expect(await review({ spec: { containers: [] } }, 'nowhere')).to.deep.equal({ uid: 'u', allowed: true });
    expect((await review({ spec: { containers: [] } }, 'weft-system')).allowed).to.equal(true);
  });

  it('injects nothing once it is to stop: clients are asked to come again, when the next one answers', async () => {
    await install();
    api.put(TRUST, { data: { 'roots.pem': ROOTS } });
    api.put(shop, { metadata: { labels: { 'weft.dev/inject': 'enabled' } } });
    await until(async () => (await ready()) === 'ok\n', 'it is ready');
    expect((await review({ spec: { containers: [] } })).patch).to.be.a('string');
    const stopped = injector.stop();
    const { allowed, patch, status } = await review({ spec: { containers: [] } });
    expect([allowed, patch]).to.deep.equal([false, undefined]);
    expect(status).to.deep.equal({
      code: 503,
      reason: 'ServiceUnavailable',
      message: 'weft: not now, try again: this injector is stopping, and the next one may have other settings',
      details: { retryAfterSeconds: 1 },
    });
    await stopped;
  });

  it('repairs an edited caBundle and serves on', async () => {
    await install();
    const { webhooks } = api.objects.get(WEBHOOK_PATH) as never as { webhooks: { clientConfig: { caBundle: string } }[] };
    const right = webhooks[0].clientConfig.caBundle;
    api.put(WEBHOOK, { webhooks: [{ name: 'w', clientConfig: { caBundle: 'AAAA' } }] });
    await until(() => {
      const found = api.objects.get(WEBHOOK_PATH) as never as typeof api.objects & { webhooks: { clientConfig: { caBundle: string } }[] };
      return found.webhooks[0].clientConfig.caBundle === right;
    }, 'it is repaired');
    expect((await review({ spec: { containers: [] } })).allowed).to.equal(true);
    const metrics = await (await fetch(`http://127.0.0.1:${injector.healthPort}/metrics`)).text();
    expect(metrics).to.match(/^weft_injector_ca_bundle_patches_total 2$/m);
    expect(metrics).to.match(/^weft_injector_certificate_expiry_timestamp_seconds \d{10}/m);
  });

  it('admits a burst of 500 pods, over connections that are kept, with its Secret spoilt in the middle', async () => {
    await install();
    api.put(TRUST, { data: { 'roots.pem': ROOTS } });
    api.put(shop, { metadata: { labels: { 'weft.dev/inject': 'enabled' } } });
    await until(async () => (await ready()) === 'ok\n', 'it is ready');
    const agent = new https.Agent({ keepAlive: true, maxSockets: 50 });
    const half = () =>
      Promise.all(Array.from({ length: 250 }, (_, i) => review({ metadata: { name: `p${i}` }, spec: { containers: [] } }, 'shop', agent)));
    const first = half();
    api.put({ kind: KINDS.Secret, namespace: 'weft-system', name: 'weft-injector-tls' }, { data: { 'ca.crt': 'AAAA' } });
    for (const { allowed, patch } of [...(await first), ...(await half())]) {
      expect(allowed).to.equal(true);
      expect(patch).to.be.a('string');
    }
    agent.destroy();
    const metrics = await (await fetch(`http://127.0.0.1:${injector.healthPort}/metrics`)).text();
    expect(metrics).to.match(/^weft_injector_reviews_total\{result="injected",reason=""\} 500$/m);
    expect(metrics).to.not.include('result="failed"');
  });

  it('writes an Event about a pod that it leaves alone', async () => {
    await install();
    api.put(shop, { metadata: { labels: { 'weft.dev/inject': 'enabled' } } });
    const pod = { metadata: { name: 'web' }, spec: { hostNetwork: true, containers: [] } };
    await review({ ...pod, metadata: { name: 'forged' } });
    await review(pod);
    // The API server has stored it.
    api.put({ kind: podKind, namespace: 'shop', name: 'web' }, pod);
    const messages = () => [...api.objects].flatMap(([path, { message }]) => (path.includes('/events/') ? [message] : []));
    await until(() => messages().length > 0, 'there is an Event');
    expect(messages()).to.have.length(1);
    expect(messages()[0]).to.match(/^pod web: hostNetwork/);
  });
});

describe('the injector’s settings', () => {
  it('have defaults for all but the image', () => {
    const read = readInjectorSettings({ WEFT_IMAGE: 'weft:1' });
    if ('problems' in read) throw new Error(read.problems.join());
    expect(read.settings).to.include({
      namespace: 'weft-system',
      logLevel: 'info',
      logFormat: 'json',
      host: '',
      webhookPort: 9443,
      healthPort: 15014,
    });
    expect(read.settings.injection).to.include({
      image: 'weft:1',
      imagePullPolicy: 'IfNotPresent',
      trustDomain: 'cluster.local',
      drainSeconds: 30,
    });
    expect(read.settings.injection.opaquePorts).to.match(/^25,587,3306/);
  });

  it('refuse a request above its limit, with which the API server would refuse every pod', () => {
    const read = readInjectorSettings({ WEFT_IMAGE: 'weft:1', WEFT_SIDECAR_MEMORY_REQUEST: '1Gi', WEFT_SIDECAR_MEMORY_LIMIT: '512Mi' });
    expect('problems' in read && read.problems).to.deep.equal([
      'WEFT_SIDECAR_MEMORY_REQUEST must not exceed WEFT_SIDECAR_MEMORY_LIMIT: 1Gi is more than 512Mi',
    ]);
  });

  it('name the collector, the share of traces and the access log; without them there is none', () => {
    const read = (env: Record<string, string>) => {
      const made = readInjectorSettings({ WEFT_IMAGE: 'weft:1', ...env });
      if ('problems' in made) return made.problems.join('\n');
      const { tracingEndpoint, tracingSampling, accessLog } = made.settings.injection;
      return [tracingEndpoint, tracingSampling, accessLog];
    };
    expect(read({})).to.deep.equal(['', 0.01, 'off']);
    const given = { WEFT_TRACING_ENDPOINT: 'http://jaeger.obs:4318', WEFT_TRACING_SAMPLING: '5%', WEFT_ACCESS_LOG: 'errors' };
    expect(read(given)).to.deep.equal(['http://jaeger.obs:4318', 0.05, 'errors']);
    expect(read({ WEFT_TRACING_ENDPOINT: 'jaeger.obs:4318' })).to.include('did you mean http://jaeger.obs:4318?');
    expect(read({ WEFT_TRACING_ENDPOINT: 'grpc://jaeger.obs:4317' })).to.include('did you mean http://jaeger.obs:4317?');
    expect(read({ WEFT_TRACING_ENDPOINT: 'http://a/?b' })).to.include('did you mean http://a/?');
    expect(read({ WEFT_TRACING_ENDPOINT: 'http://a:4318/v1/traces' })).to.include('without /v1/traces, did you mean http://a:4318?');
    expect(read({ WEFT_TRACING_ENDPOINT: '::' })).to.include('WEFT_TRACING_ENDPOINT: "::": it must be an http:// or https:// URL, such as');
    expect(read({ WEFT_TRACING_SAMPLING: '5' }))
      .to.include('WEFT_TRACING_SAMPLING: "5": it must be a share')
      .and.include('did you mean 5%?');
    expect(read({ WEFT_ACCESS_LOG: 'erors' }))
      .to.include('WEFT_ACCESS_LOG: "erors": ')
      .and.include('did you mean "errors"?');
  });

  it('know the API server by its client certificate where they are given its authority; a name alone is a mistake', async () => {
    const { pem } = await craftAuthority();
    const read = readInjectorSettings({ WEFT_IMAGE: 'weft:1', WEFT_CLIENT_AUTHORITIES: pem, WEFT_CLIENT_NAMES: 'front-proxy, other' });
    expect('settings' in read && read.settings.clients).to.deep.equal({ authorities: pem, names: ['front-proxy', 'other'] });
    const named = readInjectorSettings({ WEFT_IMAGE: 'weft:1', WEFT_CLIENT_NAMES: 'front-proxy' });
    expect('problems' in named && named.problems.join()).to.match(/WEFT_CLIENT_NAMES needs WEFT_CLIENT_AUTHORITIES/);
  });

  it('report all mistakes together', () => {
    const read = readInjectorSettings({
      WEFT_IMAGE_PULL_POLICY: 'always',
      WEFT_SIDECAR_LOG_LEVEL: 'dbug',
      WEFT_DRAIN_SECONDS: '-1',
      WEFT_OPAQUE_PORTS: 'x',
      WEFT_SIDECAR_CPU_REQUEST: 'much',
      WEFT_LOG_LEVEL: 'loud',
      WEFT_LOG_FORMAT: 'xml',
      WEFT_CLIENT_AUTHORITIES: 'no certificate',
      WEFT_ROOT_ANNOTATIONS: 'yes',
    });
    const problems = 'problems' in read ? read.problems.join('\n') : '';
    for (const part of [
      'WEFT_IMAGE is not set',
      'did you mean "Always"?',
      'did you mean debug?',
      'WEFT_DRAIN_SECONDS',
      'WEFT_OPAQUE_PORTS',
      'WEFT_SIDECAR_CPU_REQUEST',
      'WEFT_LOG_LEVEL',
      'WEFT_LOG_FORMAT',
      'WEFT_CLIENT_AUTHORITIES must be certificates in PEM',
      'WEFT_ROOT_ANNOTATIONS: "yes": it must be true or false',
    ])
      expect(problems).to.include(part);
  });
});
