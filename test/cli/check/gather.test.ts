// Reading a cluster: an API and pods of this test's own, real HTTP and TLS behind them.
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect } from 'chai';
import { gather } from '#cli/check/gather.ts';
import { handshakeVerdict } from '#cli/check/handshake.ts';
import type { Cluster } from '#cli/cluster/cluster.ts';
import { type KubeClient, KubeError, pathOf, type RequestOptions } from '#kube/api.ts';
import { craft, craftAuthority } from '#test/support/craft-certificate.ts';
import { CRDS, facts, report, shopPod } from './facts.ts';

const listening: { close(): unknown }[] = [];
afterEach(() => {
  for (const server of listening.splice(0)) server.close();
});

async function listen(server: Server | ReturnType<typeof createTlsServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  listening.push(server);
  return (server.address() as AddressInfo).port;
}

/** An injector's port, with a certificate for these names. @returns the port and its authority as a caBundle */
async function injector(dns = ['weft-injector.weft-system.svc']): Promise<{ port: number; caBundle: string }> {
  const authority = await craftAuthority();
  const { pem, keyPem } = await craft(authority, { uris: [], dns });
  return { port: await listen(createTlsServer({ cert: pem, key: keyPem })), caBundle: Buffer.from(authority.pem).toString('base64') };
}

type Answers = Readonly<Record<string, unknown>>;

/** A client that answers GETs from a table of paths; what is not there is 404. */
function clientOf(answers: Answers): KubeClient {
  return {
    server: 'https://10.0.0.1:6443',
    async request<T>(_method: string, path: Parameters<KubeClient['request']>[1], { metadataOnly }: RequestOptions = {}) {
      if (String(typeof path === 'string' ? path : pathOf(path)).includes('/secrets/'))
        expect(metadataOnly, 'no Secret is read').to.equal(true);
      const found = answers[typeof path === 'string' ? path : pathOf(path)];
      if (found instanceof Error) throw found;
      if (found === undefined) throw new KubeError(`GET ${JSON.stringify(path)}: not found`, 404, 'NotFound');
      return structuredClone(found) as T;
    },
    watch: () => Promise.reject(new Error('nothing here is watched')),
  };
}

const listOf = (items: readonly unknown[]) => ({ kind: 'List', metadata: { resourceVersion: '7' }, items });

function healthyAnswers(caBundle: string): Record<string, unknown> {
  const { pods, namespaces, deployments, routes, services, injectorEndpoints } = facts();
  const items = (read: { ok: boolean; value?: unknown }) => listOf(read.value as unknown[]);
  const clientConfig = { caBundle, service: { namespace: 'weft-system', name: 'weft-injector' } };
  return {
    '/version': { gitVersion: 'v1.34.1' },
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions': listOf(CRDS),
    '/api/v1/namespaces': items(namespaces),
    '/api/v1/pods': items(pods),
    '/apis/apps/v1/namespaces/weft-system/deployments': items(deployments),
    '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/weft-injector': { webhooks: [{ name: 'a', clientConfig }] },
    '/apis/discovery.k8s.io/v1/namespaces/weft-system/endpointslices': items(injectorEndpoints),
    '/api/v1/namespaces/weft-system/secrets/weft-authority': { data: { 'tls.key': 'c2VjcmV0' } },
    '/apis/gateway.networking.k8s.io/v1/grpcroutes': items(routes),
    '/apis/gateway.networking.k8s.io/v1/httproutes': listOf([]),
    '/api/v1/services': items(services),
    '/api/v1/limitranges': listOf([]),
    '/api/v1/resourcequotas': listOf([]),
    '/apis/apps/v1/deployments': listOf([]),
    '/apis/apps/v1/statefulsets': listOf([]),
    '/apis/apps/v1/daemonsets': listOf([]),
  };
}

/** Ways to ports that are listened on: "pod:port" → a port of this machine. */
function waysTo(ports: Readonly<Record<string, number>>): Cluster['open'] {
  return async (_namespace, pod, port) => {
    const localPort = ports[`${pod}:${port}`];
    if (localPort === undefined) throw new Error(`pods "${pod}" is forbidden: cannot create pods/portforward`);
    return { localPort, lastError: () => '', close: () => {} };
  };
}

const read = (client: KubeClient, ports: Readonly<Record<string, number>> = {}) =>
  gather({ cluster: { client, open: waysTo(ports) }, version: '0.1.0', now: () => 5 });

describe('weft check, reading', () => {
  it('reads the objects, the status of the control plane, the handshake, and what an unready sidecar says', async () => {
    const { port, caBundle } = await injector();
    const status = report();
    const statusPort = await listen(createHttpServer((_, response) => response.end(JSON.stringify(status))));
    const sidecarPort = await listen(createHttpServer((_, response) => response.writeHead(503).end('waiting for: a certificate\n')));
    const unready = shopPod('slow');
    unready.status!.initContainerStatuses![0] = { name: 'weft-proxy', ready: false, state: { running: {} } };
    const restarted = shopPod('restarted');
    const lastState = { terminated: { exitCode: 1, reason: 'Error' } };
    restarted.status!.initContainerStatuses![0] = { name: 'weft-proxy', ready: false, restartCount: 1, state: { running: {} }, lastState };
    const answers = healthyAnswers(caBundle);
    answers['/api/v1/pods'] = listOf([...(answers['/api/v1/pods'] as { items: unknown[] }).items, unready, restarted]);
    const found = await read(clientOf(answers), {
      'weft-control-plane-5d9c-abcde:15014': statusPort,
      'weft-injector-5d9c-abcde:9443': port,
      'slow:15020': sidecarPort,
      'restarted:15020': sidecarPort,
    });
    expect(found).to.deep.include({
      nowMs: 5,
      server: 'https://10.0.0.1:6443',
      kubernetes: { ok: true, value: { gitVersion: 'v1.34.1' } },
    });
    expect(found.answers).to.deep.equal([{ pod: 'weft-control-plane-5d9c-abcde', report: { ok: true, value: status } }]);
    expect(found.handshakes).to.deep.equal([{ pod: 'weft-injector-5d9c-abcde', verdict: { ok: true, value: '' } }]);
    expect([...found.sidecarWords]).to.deep.equal([
      ['shop/slow', 'waiting for: a certificate'],
      ['shop/restarted', 'waiting for: a certificate'],
    ]);
    expect(found.authority).to.deep.equal({ ok: true, value: true });
    expect(JSON.stringify(found), "secrets' values are not kept").not.to.include('c2VjcmV0');
    expect(found.pods.ok && found.pods.value.length).to.equal(5);
  });

  it('keeps the outcome of each read: absent, forbidden, and pods that cannot be asked', async () => {
    const answers = healthyAnswers('eA==');
    delete answers['/api/v1/namespaces/weft-system/secrets/weft-authority'];
    delete answers['/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/weft-injector'];
    answers['/apis/apps/v1/namespaces/weft-system/deployments'] = new KubeError('list deployments: forbidden', 403, 'Forbidden');
    const found = await read(clientOf(answers));
    expect(found.authority).to.deep.equal({ ok: true, value: false });
    expect(found.webhook).to.deep.equal({ ok: true, value: undefined });
    expect(found.deployments).to.deep.equal({ ok: false, error: 'list deployments: forbidden' });
    expect(found.answers[0].report).to.deep.include({ ok: false });
    expect(JSON.stringify(found.answers)).to.include('cannot create pods/portforward');
  });

  it('asks nothing more when there is no API server', async () => {
    const asked: string[] = [];
    const client = clientOf({});
    const found = await read({
      ...client,
      request: async (_method, path) => {
        asked.push(String(path));
        throw new KubeError('connect ECONNREFUSED', 0, 'ECONNREFUSED');
      },
    });
    expect(asked).to.deep.equal(['/version']);
    expect(found.kubernetes).to.deep.equal({ ok: false, error: 'connect ECONNREFUSED' });
  });
});

describe("weft check, the webhook's certificate", () => {
  it('holds against its authority, also in a bundle of several', async () => {
    const { port, caBundle } = await injector();
    const other = (await craftAuthority('CN=older')).pem;
    const both = Buffer.from(`${other}\n${Buffer.from(caBundle, 'base64')}`).toString('base64');
    expect(await handshakeVerdict(port, caBundle, 5000)).to.equal('');
    expect(await handshakeVerdict(port, both, 5000)).to.equal('');
  });

  it("does not hold against another's, for another name, or against what is no certificate", async () => {
    const { port, caBundle } = await injector(['other.weft-system.svc']);
    const other = Buffer.from((await craftAuthority()).pem).toString('base64');
    expect(await handshakeVerdict(port, other, 5000)).to.match(/CERT|SIGNATURE|ISSUER/);
    expect(await handshakeVerdict(port, caBundle, 5000)).to.match(/weft-injector\.weft-system\.svc|ALTNAME/);
    expect(await handshakeVerdict(port, 'eA==', 5000)).to.equal('the caBundle holds no PEM certificate');
  });

  it('is not judged where nothing speaks TLS', async () => {
    const { caBundle } = await injector();
    const port = await listen(createHttpServer((_, response) => response.end()));
    const outcome = await handshakeVerdict(port, caBundle, 5000).catch((error: Error) => error);
    expect(outcome).to.be.instanceOf(Error);
  });
});
