// The plan of `weft run`: pods, addresses, Services, listeners and environment from manifests alone.
import { expect } from 'chai';
import { MtlsMode, Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { planMesh, workloadOf } from '#local/plan/plan.ts';
import { endpointSlices, podObject } from '#local/plan/services.ts';
import { deployment, manifest, service, settings } from './shop.ts';

describe('local/plan: pods', () => {
  it('makes one pod per replica, with names that are the same in every run', () => {
    const input = [deployment('payment-v1', { app: 'payment' }, {}, 2), deployment('payment-v2', { app: 'payment' })];
    const names = planMesh(input, settings).pods.map((pod) => pod.name);
    expect(names).to.have.length(3);
    expect(new Set(names)).to.have.length(3);
    for (const name of names) expect(name).to.match(/^payment-v[12]-[a-z0-9]{5}-[a-z0-9]{5}$/);
    expect(planMesh(input, settings).pods.map((pod) => pod.name)).to.deep.equal(names);
  });

  it('keeps the pods of unchanged replicas when a Deployment grows, and replaces all when its template changes', () => {
    const small = planMesh([deployment('a', { app: 'a' }, {}, 1)], settings).pods.map((pod) => pod.name);
    const large = planMesh([deployment('a', { app: 'a' }, {}, 3)], settings).pods.map((pod) => pod.name);
    expect(large).to.have.length(3).and.include(small[0]);
    const changed = planMesh([deployment('a', { app: 'a' }, { env: [{ name: 'X', value: '1' }] }, 1)], settings).pods;
    expect(changed[0].name).to.not.equal(small[0]);
    expect(changed[0].workload).to.equal('a');
  });

  it('runs no pods for replicas: 0, and one where replicas is absent', () => {
    expect(planMesh([deployment('a', { app: 'a' }, {}, 0)], settings).pods).to.have.length(0);
    expect(planMesh([deployment('a', { app: 'a' })], settings).pods).to.have.length(1);
  });

  it('runs a bare Pod under its own name and gives it a new revision when it changes', () => {
    const pod = (command: string) => manifest('Pod', 'tool', { containers: [{ name: 'c', command: [command] }] });
    const [first] = planMesh([pod('a')], settings).pods;
    const [second] = planMesh([pod('b')], settings).pods;
    expect(first).to.include({ name: 'tool', workload: 'tool', key: 'shop/tool' });
    expect(second.revision).to.not.equal(first.revision);
  });

  it('says what it does not run', () => {
    const { pods, problems } = planMesh(
      [
        manifest('Deployment', 'image-only', { template: { spec: { containers: [{ name: 'c', image: 'nginx' }] } } }),
        manifest('Deployment', 'empty', { template: { spec: {} } }),
        deployment('fine', { app: 'fine' }),
      ],
      settings,
    );
    expect(pods.map((pod) => pod.workload)).to.deep.equal(['fine']);
    expect(problems.map((problem) => problem.text).join('\n'))
      .to.include('Deployment shop/image-only has no command for container c')
      .and.include('Deployment shop/empty has no containers');
  });

  it('never throws over objects whose parts have the wrong shape of absence', () => {
    for (const spec of [undefined, null, {}, { template: null }, { template: { spec: null } }, { replicas: 'many', template: {} }]) {
      expect(() =>
        planMesh([manifest('Deployment', 'x', spec), manifest('Pod', 'y', spec), manifest('Service', 'z', spec)], settings),
      ).to.not.throw();
    }
  });
});

describe('local/plan: addresses', () => {
  it('gives each pod its own addresses, by number', () => {
    const { pods } = planMesh([deployment('a', { app: 'a' }, {}, 2)], settings);
    expect(pods.map((pod) => [pod.podAddress, pod.appAddress])).to.deep.equal([
      ['127.77.1.1', '127.77.1.2'],
      ['127.77.2.1', '127.77.2.2'],
    ]);
  });

  it('keeps numbers while pods come and go, and those of stopping pods', () => {
    const a = deployment('a', { app: 'a' });
    const b = deployment('b', { app: 'b' });
    const c = deployment('c', { app: 'c' });
    const first = planMesh([a, b], settings);
    const stopping = new Set([first.pods[0].key]);
    const second = planMesh([b, c], settings, first.memory, stopping);
    expect(second.pods.map((pod) => pod.podAddress)).to.deep.equal(['127.77.2.1', '127.77.3.1']);
    const third = planMesh([b, c, deployment('d', { app: 'd' })], settings, second.memory, stopping);
    expect(third.pods.map((pod) => pod.podAddress)).to.deep.equal(['127.77.2.1', '127.77.3.1', '127.77.4.1']);
    const fourth = planMesh([b, c, deployment('e', { app: 'e' })], settings, planMesh([b, c], settings, second.memory).memory);
    expect(fourth.pods.at(-1)!.podAddress).to.equal('127.77.1.1');
  });

  it('says when there is no room', () => {
    const { pods, problems } = planMesh([deployment('a', { app: 'a' }, {}, 252)], settings);
    expect(pods).to.have.length(250);
    expect(problems.filter((problem) => problem.text.includes('room for 250 pods'))).to.have.length(2);
  });
});

describe('local/plan: services', () => {
  it('gives a cluster IP to a Service without one, and to no other', () => {
    const { services } = planMesh(
      [
        service('plain', { app: 'a' }),
        service('headless', { app: 'a' }, {}, { clusterIP: 'None' }),
        service('set', { app: 'a' }, {}, { clusterIP: '10.96.0.7' }),
        service('elsewhere', undefined, {}, { type: 'ExternalName' }),
      ],
      settings,
    );
    expect(services.map((object) => object.spec.clusterIP)).to.deep.equal(['127.77.255.3', 'None', '10.96.0.7', undefined]);
    expect(services[0].spec.clusterIPs).to.deep.equal(['127.77.255.3']);
  });

  it('selects pods by all labels of the selector, in its own namespace only', () => {
    const { pods, services } = planMesh(
      [
        service('v1', { app: 'payment', version: 'v1' }),
        service('none', undefined),
        service('other', { app: 'payment' }, {}, {}, { namespace: 'elsewhere' }),
        deployment('one', { app: 'payment', version: 'v1', extra: 'x' }),
        deployment('two', { app: 'payment', version: 'v2' }),
      ],
      settings,
    );
    const [v1, none, other] = services.map((object) => endpointSlices(object, pods, new Set(pods.map((pod) => pod.key))));
    expect(v1).to.have.length(1);
    expect(v1[0]).to.deep.include({
      kind: 'EndpointSlice',
      addressType: 'IPv4',
      ports: [{ name: 'grpc', port: 8080, protocol: 'TCP' }],
    });
    expect(v1[0].metadata!.labels).to.include({ 'kubernetes.io/service-name': 'v1' });
    expect((v1[0].endpoints as { addresses: string[] }[]).map((endpoint) => endpoint.addresses)).to.deep.equal([['127.77.1.1']]);
    expect(none).to.deep.equal([]);
    expect(other).to.deep.equal([]);
  });

  it('shows a pod that is not ready as such', () => {
    const { pods, services } = planMesh([service('s', { app: 'a' }), deployment('a', { app: 'a' }, {}, 2)], settings);
    const [slice] = endpointSlices(services[0], pods, new Set([pods[1].key]));
    expect((slice.endpoints as { conditions: object }[]).map((endpoint) => endpoint.conditions)).to.deep.equal([
      { ready: false, serving: false, terminating: false },
      { ready: true, serving: true, terminating: false },
    ]);
  });

  it('makes a slice per meaning of a named target port, and leaves out pods without it', () => {
    const { pods, services } = planMesh(
      [
        service('s', { app: 'a' }),
        deployment('x', { app: 'a' }),
        deployment('y', { app: 'a' }, { ports: [{ name: 'grpc', containerPort: 8181 }] }),
      ],
      settings,
    );
    const slices = endpointSlices(services[0], pods, new Set());
    expect(slices.map((slice) => (slice.ports as { port: number }[])[0].port)).to.deep.equal([8080, 8181]);
    expect(new Set(slices.map((slice) => slice.metadata!.name))).to.have.length(2);
  });

  it('marks its Pods as meshed', () => {
    const { pods } = planMesh([deployment('a', { app: 'a' })], settings);
    const object = podObject(pods[0], true);
    expect(object.metadata!.annotations).to.have.property('weft.dev/status');
    expect(object.status).to.deep.include({ podIP: '127.77.1.1' });
  });
});

describe('local/plan: the workload that a sidecar receives', () => {
  it('listens for every port of its pod and for every Service of the mesh', () => {
    const input = [
      service('payment', { app: 'payment' }),
      service('web', undefined, { port: 80 }, {}, { namespace: 'front' }),
      service('raw', { app: 'payment' }, { name: 'tcp-raw', port: 7000, targetPort: 7001 }),
      deployment('payment', { app: 'payment' }, {}, 1, { serviceAccountName: 'pay' }),
    ];
    const plan = planMesh(input, settings);
    const workload = workloadOf(plan.pods[0], plan, [], settings);
    expect(workload).to.include({ identity: 'spiffe://cluster.local/ns/shop/sa/pay', name: 'payment', mtls: MtlsMode.PERMISSIVE });
    expect(
      workload.inbound.map(({ port, listenAddress, appAddress, protocol }) => [port, listenAddress, appAddress, protocol]),
    ).to.deep.equal([
      [7001, '127.77.1.1', '127.77.1.2', Protocol.TCP],
      [8080, '127.77.1.1', '127.77.1.2', Protocol.UNSPECIFIED],
    ]);
    expect(
      workload.outbound.map(({ address, port, namespace, service, servicePort }) => [address, port, namespace, service, servicePort]),
    ).to.deep.equal([
      ['127.77.1.3', 9000, 'shop', 'payment', 9000],
      ['127.77.1.4', 10080, 'front', 'web', 80],
      ['127.77.1.5', 7000, 'shop', 'raw', 7000],
    ]);
  });

  it('reports of its calls what the annotations of namespace and pod say, which makes no other pod of it', () => {
    const namespace = { kind: 'Namespace', metadata: { name: 'shop', annotations: { 'weft.dev/trace-sampling': '5%' } } };
    const planWith = (annotations?: Record<string, string>) => {
      const { object } = deployment('a', { app: 'a' });
      const { metadata, spec } = object.spec.template;
      const template = { metadata: { ...metadata, ...(annotations && { annotations }) }, spec };
      return planMesh([{ object: { ...object, spec: { ...object.spec, template } }, file: '/manifests/all.yaml' }], settings);
    };
    const telemetry = (plan: ReturnType<typeof planWith>) => workloadOf(plan.pods[0], plan, [namespace], settings).telemetry!;
    const plain = planWith();
    const logged = planWith({ 'weft.dev/access-log': 'all' });
    expect(telemetry(plain)).to.include({ traceSampling: 0.05, accessLog: '' });
    expect(telemetry(logged)).to.include({ traceSampling: 0.05, accessLog: 'all' });
    expect(logged.pods[0].revision).to.equal(plain.pods[0].revision);
    expect(planWith({ 'weft.dev/access-log': 'all', 'weft.dev/mtls': 'strict' }).pods[0].revision).to.not.equal(plain.pods[0].revision);
  });

  it('is strict where namespace or pod say so, and the pod wins', () => {
    const namespace = { kind: 'Namespace', metadata: { name: 'shop', labels: { 'weft.dev/mtls': 'strict' } } };
    const plan = planMesh([deployment('a', { app: 'a' }), deployment('b', { app: 'b', 'weft.dev/mtls': 'permissive' })], settings);
    expect(plan.pods.map((pod) => workloadOf(pod, plan, [namespace], settings).mtls)).to.deep.equal([MtlsMode.STRICT, MtlsMode.PERMISSIVE]);
  });
});

describe('local/plan: containers', () => {
  it('publishes the Services as variables that lead to the pod’s own sidecar', () => {
    const { pods } = planMesh(
      [service('payment-v1', { app: 'a' }), service('db', undefined, {}, {}, { namespace: 'data' }), deployment('a', { app: 'a' })],
      settings,
    );
    expect(pods[0].containers[0].env).to.deep.equal({
      PAYMENT_V1_SERVICE_HOST: '127.77.1.3',
      PAYMENT_V1_SERVICE_PORT: '9000',
      PAYMENT_V1_SERVICE_PORT_GRPC: '9000',
      DB_DATA_SERVICE_HOST: '127.77.1.4',
      DB_DATA_SERVICE_PORT: '9000',
      DB_DATA_SERVICE_PORT_GRPC: '9000',
      POD_IP: '127.77.1.2',
    });
  });

  it('resolves the downward API and $(NAME), and says what only a cluster has', () => {
    const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
    const { pods, problems } = planMesh(
      [
        service('payment', undefined),
        deployment(
          'a',
          { app: 'a' },
          {
            command: ['node', '$(APP)', '$$(APP)', '$(UNKNOWN)'],
            args: ['--to=$(TARGET)'],
            env: [
              field('IP', 'status.podIP'),
              field('LABEL', "metadata.labels['app']"),
              field('SA', 'spec.serviceAccountName'),
              field('NAME', 'metadata.name'),
              { name: 'APP', value: 'x.mjs' },
              { name: 'TARGET', value: '$(PAYMENT_SERVICE_HOST):$(PAYMENT_SERVICE_PORT)' },
              { name: 'KEY', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
            ],
          },
        ),
      ],
      settings,
    );
    const [container] = pods[0].containers;
    expect(container.env).to.include({ IP: '127.77.1.2', LABEL: 'a', SA: 'default', NAME: pods[0].name, TARGET: '127.77.1.3:9000' });
    expect(container.argv).to.deep.equal(['node', 'x.mjs', '$(APP)', '$(UNKNOWN)', '--to=127.77.1.3:9000']);
    expect(problems.map((problem) => problem.text).join()).to.include('env KEY: secretKeyRef is not available without a cluster');
  });

  it('starts in the directory of the manifest; a path of the image stands for it', () => {
    const directory = (workingDir?: string, exists = false) =>
      planMesh([deployment('a', { app: 'a' }, { workingDir })], { ...settings, exists: () => exists }).pods[0].containers[0].directory;
    expect(directory()).to.equal('/manifests');
    expect(directory('sub/dir')).to.equal('/manifests/sub/dir');
    expect(directory('/app')).to.equal('/manifests');
    expect(directory('/srv', true)).to.equal('/srv');
  });

  it('reads tcpSocket, httpGet, grpc and exec probes as the kubelet does, also by the name of the port', () => {
    const probe = (readinessProbe: object) =>
      planMesh([deployment('a', { app: 'a' }, { readinessProbe })], settings).pods[0].containers[0].probe;
    const question = (readinessProbe: object) => probe(readinessProbe)!.question;
    expect(probe({ tcpSocket: { port: 'grpc' }, periodSeconds: 2 })).to.deep.equal({
      question: { kind: 'target', target: { timeoutMs: 1000, tcp: { port: 8080 } }, host: '' },
      initialDelayMs: 0,
      periodMs: 2000,
      successThreshold: 1,
      failureThreshold: 3,
    });
    expect(probe({ tcpSocket: { port: 1 }, initialDelaySeconds: 4, successThreshold: 2, failureThreshold: 5 })).to.include({
      initialDelayMs: 4000,
      periodMs: 10_000,
      successThreshold: 2,
      failureThreshold: 5,
    });
    const httpGet = { port: 81, path: '/up', scheme: 'HTTPS', host: '127.0.0.1', httpHeaders: [{ name: 'a', value: 'b' }] };
    expect(question({ httpGet, timeoutSeconds: 7 })).to.deep.equal({
      kind: 'target',
      target: { timeoutMs: 7000, http: { port: 81, path: '/up', scheme: 'HTTPS', headers: [{ name: 'a', value: 'b' }] } },
      host: '127.0.0.1',
    });
    expect(question({ grpc: { port: 8080, service: 'pay' } })).to.deep.include({
      target: { timeoutMs: 1000, grpc: { port: 8080, service: 'pay' } },
    });
    expect(question({ exec: { command: ['cat', '$(POD_IP)'] } })).to.deep.equal({
      kind: 'exec',
      argv: ['cat', '127.77.1.2'],
      timeoutMs: 1000,
    });
    expect(question({ httpGet: { port: 'web' } })).to.deep.equal({ kind: 'never', why: 'container declares no port named "web"' });
    expect(question({}).kind).to.equal('never');
  });

  it('names both containers that want one port, and ports that cannot be had', () => {
    const two = deployment('two', { app: 'two' }, {}, 1, {
      containers: [
        { name: 'left', command: ['a'], ports: [{ containerPort: 8080 }] },
        { name: 'right', command: ['b'], ports: [{ containerPort: 8080 }] },
      ],
    });
    const texts = (input: ReturnType<typeof deployment>[]) => planMesh(input, settings).problems.map((problem) => problem.text);
    expect(texts([two])).to.deep.equal(['Deployment shop/two: containers left and right are both on port 8080']);
    expect(texts([deployment('low', { app: 'l' }, { ports: [{ containerPort: 80 }] })])[0]).to.include('port 80 needs root');
    expect(texts([deployment('admin', { app: 'l' }, { ports: [{ containerPort: 15020 }] })])[0]).to.include(
      "15020 is the sidecar's admin port",
    );
    const host = texts([deployment('host', { app: 'h' }, { ports: [{ containerPort: 8080, hostPort: 8080 }] }, 2)]);
    expect(host[0]).to.match(/^pods host-\S+ and host-\S+ are both on port 8080 .*status\.podIP/);
  });
});
