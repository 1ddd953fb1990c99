// What `weft run` makes of the labels and annotations that injection reads on a cluster.
import { expect } from 'chai';
import { bypassedPorts } from '#control-plane/translate/bypassed.ts';
import { MtlsMode, Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { DEFAULT_OPAQUE_PORTS } from '#core/contract/port-ranges.ts';
import type { SourcedManifest } from '#local/plan/manifests.ts';
import { planMesh, workloadOf } from '#local/plan/plan.ts';
import { endpointSlices, podObject } from '#local/plan/services.ts';
import type { Pod } from '#objects/pod.ts';
import { deployment, service, settings } from './shop.ts';

describe('local/plan: what injection reads', () => {
  const namespace = (labels: object, annotations: object = {}) =>
    ({ object: { kind: 'Namespace', metadata: { name: 'shop', labels, annotations } } }) as SourcedManifest;
  const annotated = (annotations: object, name = 'a', labels: object = {}) => {
    const made = deployment(name, { app: name, ...labels });
    made.object.spec.template.metadata.annotations = annotations;
    return made;
  };
  const texts = (...input: SourcedManifest[]) => planMesh(input, settings).problems.map(({ text }) => text);

  it('gives each sidecar the options of its namespace and pod, the pod’s first, and the defaults of an installation', () => {
    const around = namespace({}, { 'weft.dev/opaque-ports': '7000', 'weft.dev/log-level': 'debug' });
    const [plain, own] = planMesh(
      [around, annotated({}), annotated({ 'weft.dev/opaque-ports': '9999', 'weft.dev/drain-seconds': '60' }, 'b')],
      settings,
    ).pods;
    expect(plain.options).to.include({ opaquePorts: '7000', logLevel: 'debug', drainSeconds: 3 });
    expect(own.options).to.include({ opaquePorts: '9999', logLevel: 'debug', drainSeconds: 60 });
    expect(planMesh([annotated({})], settings).pods[0].options.opaquePorts).to.equal(DEFAULT_OPAQUE_PORTS);
  });

  it('makes other pods when the namespace says something else to injection', () => {
    const revision = (annotations: object) => planMesh([namespace({}, annotations), annotated({})], settings).pods[0].revision;
    expect(revision({ 'weft.dev/opaque-ports': '7000' })).to.not.equal(revision({}));
    expect(revision({ 'weft.dev/access-log': 'all' })).to.equal(revision({}));
  });

  it('sends callers straight to ports that skip inbound capture, in plaintext', () => {
    const { pods, services } = planMesh(
      [
        service(
          's',
          { app: 'a' },
          {},
          {
            ports: [
              { name: 'in', port: 1, targetPort: 8080 },
              { name: 'past', port: 2, targetPort: 9999 },
            ],
          },
        ),
        annotated({ 'weft.dev/skip-inbound-ports': '9990-9999' }),
      ],
      settings,
    );
    const slices = endpointSlices(services[0], pods, new Set());
    const addresses = slices.map(({ ports, endpoints }) => [
      (ports as { port: number }[])[0].port,
      (endpoints as { addresses: string[] }[])[0].addresses[0],
    ]);
    expect(addresses).to.deep.equal([
      [8080, '127.77.1.1'],
      [9999, '127.77.1.2'],
    ]);
    expect(bypassedPorts(podObject(pods[0], true) as Pod).map(({ from, to }) => [from, to])).to.deep.include([9990, 9999]);
    const plan = planMesh(
      [service('s', { app: 'a' }, { targetPort: 9999 }), annotated({ 'weft.dev/skip-inbound-ports': '9990-9999' })],
      settings,
    );
    expect(workloadOf(plan.pods[0], plan, [], settings).inbound.map(({ port }) => port)).to.deep.equal([8080]);
  });

  it('names each thing that a run leaves out once, with all that ask for it', () => {
    const image = { 'weft.dev/image': 'x' };
    expect(
      texts(
        annotated(image, 'a'),
        annotated(image, 'b'),
        annotated(image, 'c'),
        annotated({ ...image, 'weft.dev/skip-outbound-ports': '1' }, 'd'),
      ),
    ).to.deep.equal([
      "Deployment shop/a, Deployment shop/b, Deployment shop/c and 1 more: weft.dev/image has no effect here, because a sidecar is a process of this machine, which runs the CLI's own program",
      'Deployment shop/d: weft.dev/skip-outbound-ports has no effect here, because without capture, all calls to Services go through the sidecar, and all others past it',
    ]);
    const probed = deployment('p', { app: 'p' }, { livenessProbe: { tcpSocket: { port: 1 } }, startupProbe: { tcpSocket: { port: 1 } } });
    expect(texts(probed)).to.deep.equal([
      'Deployment shop/p: livenessProbe is not asked here: a container is started again only when it ends',
      'Deployment shop/p: startupProbe is not asked here: a container is started again only when it ends',
    ]);
  });

  it('names what only a kubelet does, and labels of a namespace that mean nothing', () => {
    const container = { lifecycle: { preStop: { exec: { command: ['true'] } } }, volumeMounts: [{ name: 'v', mountPath: '/v' }] };
    const odd = namespace({ 'weft.dev/inject': 'enabled', 'weft.dev/mtls': 'STRICT' });
    expect(texts(odd, deployment('p', { app: 'p' }, container, 1, { restartPolicy: 'Never' }))).to.deep.equal([
      'Namespace shop: label weft.dev/mtls has the value "STRICT", which means nothing (pods are permissive): did you mean "strict"?',
      'Deployment shop/p: lifecycle: its hooks are not run here',
      "Deployment shop/p: volumeMounts are not mounted here: a container sees this machine's files",
      'Deployment shop/p: restartPolicy Never has no effect here: a container that ends is always started again',
    ]);
  });

  it('shows pods that are not ready as endpoints where the Service asks for it', () => {
    const { pods, services } = planMesh(
      [service('s', { app: 'a' }, {}, { publishNotReadyAddresses: true }), deployment('a', { app: 'a' })],
      settings,
    );
    const [slice] = endpointSlices(services[0], pods, new Set());
    expect((slice.endpoints as { conditions: object }[])[0].conditions).to.deep.equal({ ready: true, serving: false, terminating: false });
  });

  it('says which pods a cluster would not give a sidecar, or would refuse', () => {
    const enabled = namespace({ 'weft.dev/inject': 'enabled' });
    expect(texts(annotated({}))).to.deep.equal([]);
    expect(texts(enabled, annotated({}))).to.deep.equal([]);
    expect(texts(namespace({}), annotated({}))[0]).to.match(
      /^Deployment shop\/a: every pod has a sidecar here; on a cluster it would have none: neither the pod/,
    );
    expect(texts(enabled, annotated({}, 'a', { 'weft.dev/inject': 'disabled' }))[0]).to.include(
      'the pod has the label weft.dev/inject: disabled',
    );
    expect(texts(enabled, deployment('h', { app: 'h' }, {}, 1, { hostNetwork: true }))[0]).to.include('hostNetwork: true');
    expect(texts(enabled, deployment('u', { app: 'u' }, {}, 1, { securityContext: { runAsUser: 2102 } }))[0]).to.include(
      'a cluster would refuse the pod',
    );
  });

  it('names values that are not taken, by the object that has them', () => {
    const around = namespace({ 'weft.dev/inject': 'enabled' }, { 'weft.dev/log-level': 'loud' });
    expect(
      texts(around, annotated({ 'weft.dev/opaque-ports': '9-5', 'weft.dev/opaq-ports': '1' }, 'a', { 'weft.dev/mtls': 'STRICT' })),
    ).to.deep.equal([
      'Namespace shop: annotation weft.dev/log-level: "loud" is ignored: it must be one of debug, info, warn, error, off',
      'Deployment shop/a: pod annotation weft.dev/opaque-ports: "9-5" is ignored: "9-5" ends before it begins, did you mean "5-9"?',
      'Deployment shop/a: pod annotation "weft.dev/opaq-ports": Weft knows no such annotation, did you mean weft.dev/opaque-ports?',
      'Deployment shop/a: pod label weft.dev/mtls: "STRICT" must be permissive or strict, did you mean strict?',
    ]);
  });

  it('takes a word for mTLS that means nothing as a cluster does: the namespace’s holds', () => {
    const strict = { kind: 'Namespace', metadata: { name: 'shop', labels: { 'weft.dev/mtls': 'strict' } } };
    const plan = planMesh([deployment('a', { app: 'a', 'weft.dev/mtls': 'yes' })], settings);
    expect(workloadOf(plan.pods[0], plan, [strict], settings).mtls).to.equal(MtlsMode.STRICT);
    const annotation = { kind: 'Namespace', metadata: { name: 'shop', annotations: { 'weft.dev/mtls': 'strict' } } };
    expect(workloadOf(plan.pods[0], plan, [annotation], settings).mtls).to.equal(MtlsMode.PERMISSIVE);
  });

  it('passes ports as TCP that a Service declares to be', () => {
    const declared = [service('db', { app: 'a' }, { name: 'mysql-main', port: 3307, targetPort: 3307 }), deployment('a', { app: 'a' })];
    const plan = planMesh(declared, settings);
    expect(workloadOf(plan.pods[0], plan, [], settings).inbound.map(({ port, protocol }) => [port, protocol])).to.deep.equal([
      [3307, Protocol.TCP],
      [8080, Protocol.UNSPECIFIED],
    ]);
  });
});
