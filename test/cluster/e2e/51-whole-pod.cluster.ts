// What worked before a namespace was labelled works after: other webhooks, hooks, applying again, probes of every kind,
// resolvers and limits. Each pod stands in a STRICT namespace.
import { expect } from 'chai';
import { SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { type EventItem, eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { CALLER_IMAGE, echoContainer, INJECT } from '../support/workloads.ts';

const ON = 'e2e-whole';
const LIMITED = 'e2e-limited';
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
  const stage = scene({ [ON]: STRICT, [LIMITED]: STRICT });
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
