// What worked before a namespace was labelled works after: other webhooks, hooks, applying again, probes of every kind,
// resolvers and limits. Each pod stands in a STRICT namespace.
import { expect } from 'chai';
import { SIDECAR_ADMIN_PORT, SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { createIssuer } from '../pki.ts';
import { lateWebhook } from '../support/late-webhook.ts';
import { type EventItem, eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { CALLER_IMAGE, echoContainer, INJECT } from '../support/workloads.ts';

const ON = 'e2e-whole';
const LIMITED = 'e2e-limited';
const OUTSIDE = 'e2e-whole-outside';
const STRICT = { ...INJECT, 'weft.dev/mtls': 'strict' };

/** Writes what it was asked to its log. */
const SERVER = `
const http = require('node:http');
http.createServer((q, r) => { console.log('asked ' + q.url); r.setHeader('x-large', 'y'.repeat(30000)); r.end('ok'); }).listen(8080, '::');
process.on('SIGTERM', () => process.exit(0));
`;
/** Listens nowhere, because the helper has the pod's port. */
const IDLE = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 60_000);";

describe('The whole pod', () => {
  const stage = scene({ [ON]: STRICT, [LIMITED]: STRICT, [OUTSIDE]: {} });
  const ready = (name: string, namespace = ON) =>
    stage.objects.must(['wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout=120s']);

  it('runs postStart and preStop hooks by HTTP under STRICT', async () => {
    // The kubelet calls postStart as soon as the container has started: here a helper that is there already is asked.
    const helper = server({ name: 'helper', restartPolicy: 'Always', startupProbe: { httpGet: { port: 8080 }, periodSeconds: 1 } });
    const lifecycle = { postStart: { httpGet: { port: 8080, path: '/warm' } }, preStop: { httpGet: { port: 8080, path: '/drain' } } };
    await stage.objects.apply(
      pod(ON, 'hooks', { initContainers: [helper], containers: [server({ command: ['node', '-e', IDLE], ports: [], lifecycle })] }),
    );
    await ready('hooks');
    expect(await stage.objects.must(['logs', 'hooks', '-n', ON, '-c', 'helper'])).to.contain('asked /warm');
    await stage.objects.must(['delete', 'pod', 'hooks', '-n', ON, '--wait=true']);
    const events = (await stage.objects.list<EventItem>('events', ON)).filter(({ involvedObject }) => involvedObject.name === 'hooks');
    expect(events.filter(({ message = '' }) => /hook failed/i.test(message))).to.deep.equal([]);
  });

  it('takes an unchanged bare Pod a second time, and refuses another probe as ever', async () => {
    const manifest = (path: string) =>
      pod(ON, 'again', {
        containers: [
          server({ readinessProbe: { httpGet: { port: 8080, path }, periodSeconds: 2 }, livenessProbe: { tcpSocket: { port: 8080 } } }),
        ],
      });
    await stage.objects.apply(manifest('/ready'));
    await ready('again');
    const said = await stage.objects.must(['apply', '-f', '-'], JSON.stringify(manifest('/ready')));
    expect(said).to.contain('pod/again');
    expect(await stage.objects.refused(manifest('/other'))).to.contain('may not change fields');
  });

  it('is ready with 30 KB of response headers', async () => {
    await stage.objects.apply(
      pod(ON, 'large', { containers: [server({ readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 } })] }),
    );
    await ready('large');
  });

  it('is ready where an HTTPS probe asks a server that speaks HTTP/2 alone', async () => {
    const { certificate, key } = await (await createIssuer()).issue({ subject: 'CN=h2', dns: ['h2'] });
    const script = `
      const { createSecureServer } = require('node:http2');
      const server = createSecureServer(${JSON.stringify({ cert: certificate, key, allowHTTP1: false })});
      server.on('stream', (stream, headers) => { console.log('asked ' + headers[':path']); stream.respond({ ':status': 200 }); stream.end(); });
      server.listen(8443, '::');
      process.on('SIGTERM', () => process.exit(0));`;
    const readinessProbe = { httpGet: { port: 8443, path: '/ready', scheme: 'HTTPS' }, periodSeconds: 1 };
    await stage.objects.apply(pod(ON, 'h2', { containers: [server({ command: ['node', '-e', script], ports: [], readinessProbe })] }));
    await ready('h2');
    expect(await stage.objects.must(['logs', 'h2', '-n', ON, '-c', 'server'])).to.contain('asked /ready');
  });

  it('is complete after another webhook that adds containers: the sidecar first, their probes rewritten', async () => {
    const late = await lateWebhook({
      namespace: OUTSIDE,
      changes: ON,
      initContainer: server({ name: 'early', command: ['node', '-e', ''], ports: [] }),
      container: server({
        name: 'added',
        command: ['node', '-e', SERVER.replace('8080', '8081')],
        ports: [],
        readinessProbe: { httpGet: { port: 8081, path: '/added' }, periodSeconds: 1 },
      }),
    });
    await stage.objects.apply(late.pod, late.service);
    await ready(late.pod.metadata.name, OUTSIDE);
    await stage.objects.apply(late.registration);
    try {
      const changed = pod(ON, 'changed', { containers: [server({})] });
      changed.metadata.labels = { late: 'changes' };
      // The API server learns of the webhook a moment after it is registered.
      const made = await eventually('a pod that both have changed', async () => {
        await stage.objects.delete('pod', 'changed', ON, ['--wait=true']);
        await stage.objects.apply(changed);
        const found = (await stage.objects.get<PodItem>('pod', 'changed', ON))!;
        return found.spec.containers.length > 1 && found;
      });
      expect(made.spec.initContainers!.map(({ name }) => name)).to.deep.equal([SIDECAR_CONTAINER, 'early']);
      const added = made.spec.containers.find(({ name }) => name === 'added')!;
      expect(added.readinessProbe).to.have.nested.property('httpGet.port', SIDECAR_ADMIN_PORT);
      await ready('changed');
      expect(await stage.objects.must(['logs', 'changed', '-n', ON, '-c', 'added'])).to.contain('asked /added');
    } finally {
      await stage.objects.delete('mutatingwebhookconfiguration', late.registration.metadata.name);
    }
  });

  for (const dnsPolicy of ['Default', 'None']) {
    it(`finds the control plane with dnsPolicy ${dnsPolicy}`, async () => {
      const name = `dns-${dnsPolicy.toLowerCase()}`;
      const dnsConfig = dnsPolicy === 'None' ? { dnsConfig: { nameservers: ['192.0.2.53'] } } : {};
      await stage.objects.apply(pod(ON, name, { dnsPolicy, ...dnsConfig, containers: [echoContainer()] }));
      await ready(name);
    });
  }

  it('fits into a namespace whose LimitRange has small defaults, and whose quota counts limits', async () => {
    await stage.objects.apply(
      {
        apiVersion: 'v1',
        kind: 'LimitRange',
        metadata: { name: 'small', namespace: LIMITED },
        spec: {
          limits: [
            {
              type: 'Container',
              default: { cpu: '100m', memory: '48Mi' },
              defaultRequest: { cpu: '20m', memory: '32Mi' },
              min: { memory: '16Mi' },
              maxLimitRequestRatio: { memory: '2' },
            },
          ],
        },
      } as Item,
      {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'counted', namespace: LIMITED },
        spec: { hard: { 'limits.cpu': '4', 'limits.memory': '2Gi' } },
      } as Item,
    );
    await eventually('an injected pod', async () => {
      const { code } = await stage.objects.run(
        ['apply', '-f', '-'],
        JSON.stringify(pod(LIMITED, 'limited', { containers: [echoContainer()] })),
      );
      return code === 0;
    });
    await ready('limited', LIMITED);
    const made = (await stage.objects.get<PodItem>('pod', 'limited', LIMITED))!;
    expect(made.spec.initContainers!.map(({ name }) => name)).to.include(SIDECAR_CONTAINER);
  });

  it('leaves pods for Windows alone and says why', async () => {
    await stage.objects.apply(pod(ON, 'windows', { nodeSelector: { 'kubernetes.io/os': 'windows' }, containers: [echoContainer()] }));
    const made = (await stage.objects.get<PodItem>('pod', 'windows', ON))!;
    expect(made.spec.initContainers ?? []).to.deep.equal([]);
    await eventually('an Event', async () =>
      (await stage.objects.list<EventItem>('events')).some(({ message = '' }) => message.includes('windows')),
    );
    await stage.objects.delete('pod', 'windows', ON);
  });

  it('goes on with a debug container in it', async () => {
    await stage.objects.apply(pod(ON, 'debugged', { containers: [echoContainer()] }));
    await ready('debugged');
    await stage.objects.must(['debug', 'debugged', '-n', ON, `--image=${CALLER_IMAGE}`, '--image-pull-policy=IfNotPresent', '--', 'true']);
    await ready('debugged');
  });
});

function server(more: Record<string, unknown>): Record<string, unknown> {
  return {
    name: 'server',
    image: CALLER_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    command: ['node', '-e', SERVER],
    ports: [{ name: 'http', containerPort: 8080 }],
    securityContext: { runAsUser: 1000 },
    ...more,
  };
}

function pod(namespace: string, name: string, spec: Record<string, unknown>): Item {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 5, ...spec },
  };
}
