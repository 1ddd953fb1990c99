// The rights of docs/reference/rbac.md at a real API server: each is given, nothing beyond is, and every object of the
// chart is one that it takes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { CHART_KINDS } from '#chart/chart-kinds.ts';
import { install } from '#cli/installation/objects.ts';
import { ClusterProgram } from '#control-plane/program/cluster.ts';
import { ANNOTATION_FINISH, ANNOTATION_ROTATE, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { StatusView } from '#core/contract/view.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { startInjector } from '#injector/program.ts';
import { readInjectorSettings } from '#injector/settings.ts';
import { type KubeClient, pathOf } from '#kube/api.ts';
import { connectKube } from '#kube/client.ts';
import { neededBy } from '../support/needed.ts';
import { type RealApiServer, startRealApiServer } from '../support/real-api-server.ts';
import { until } from '../support/until.ts';
import { CHART_CASES } from './chart-cases.ts';

const ACCOUNTS = ['weft-control-plane', 'weft-injector'];
const userOf = (account: string): string => `system:serviceaccount:${SYSTEM_NAMESPACE}:${account}`;
const PERSON = 'person';
const OTHER = 'other';
const BUNDLE = 'corporate-roots';
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
/** What an attacker that holds a token would want. */
const UNIVERSE: readonly (readonly [group: string, resource: string])[] = [
  ['', 'pods'],
  ['', 'pods/exec'],
  ['', 'pods/portforward'],
  ['', 'pods/ephemeralcontainers'],
  ['', 'secrets'],
  ['', 'configmaps'],
  ['', 'services'],
  ['', 'nodes'],
  ['', 'namespaces'],
  ['', 'events'],
  ['', 'serviceaccounts/token'],
  ['', 'replicationcontrollers'],
  ['apps', 'deployments'],
  ['apps', 'replicasets'],
  ['apps', 'statefulsets'],
  ['apps', 'daemonsets'],
  ['batch', 'jobs'],
  ['coordination.k8s.io', 'leases'],
  ['authentication.k8s.io', 'tokenreviews'],
  ['rbac.authorization.k8s.io', 'clusterroles'],
  ['rbac.authorization.k8s.io', 'rolebindings'],
  ['admissionregistration.k8s.io', 'mutatingwebhookconfigurations'],
  ['certificates.k8s.io', 'certificatesigningrequests'],
  ['gateway.networking.k8s.io', 'grpcroutes'],
  ['gateway.networking.k8s.io', 'grpcroutes/status'],
];

interface Right {
  readonly namespace: string;
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  readonly name: string;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

describe('rights at a real API server', () => {
  let server: RealApiServer;
  const all = install({ ha: true, files: [], set: [`controlPlane.clusterTrustBundle=${BUNDLE}`] });

  before(async function () {
    this.timeout(90_000);
    server = neededBy(this, await startRealApiServer([...ACCOUNTS.map(userOf), PERSON, OTHER]));
    for (const object of all) {
      if (!['Namespace', 'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'].includes(object.kind)) continue;
      const { status, body } = await server.ask('POST', collectionOf(object), object);
      expect(status, `${object.kind} ${object.metadata.name}: ${body.message}`).to.equal(201);
    }
  });
  after(() => server?.stop());

  function collectionOf({ kind, metadata }: (typeof all)[number]): string {
    return pathOf({ kind: CHART_KINDS.get(kind)!, ...(metadata.namespace !== undefined && { namespace: metadata.namespace }) });
  }

  /** The rules of an account's roles, one for each verb and object. */
  function rightsOf(account: string): Right[] {
    return all
      .filter(({ kind, metadata }) => (kind === 'ClusterRole' || kind === 'Role') && metadata.name === account)
      .flatMap(({ kind, rules }) =>
        (rules as Rule[]).flatMap(({ apiGroups, resources, verbs, resourceNames = [''] }) =>
          resources.flatMap((resource) =>
            verbs.flatMap((verb) =>
              resourceNames.map((name) => ({
                namespace: kind === 'Role' ? SYSTEM_NAMESPACE : 'shop',
                group: apiGroups[0]!,
                resource,
                verb,
                name,
              })),
            ),
          ),
        ),
      );
  }

  async function isAllowed(user: string, { namespace, group, resource, verb, name }: Right): Promise<boolean> {
    const [of, subresource = ''] = resource.split('/');
    const { body } = await server.ask('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, resourceAttributes: { namespace, group, resource: of, subresource, verb, name } },
    });
    return (body.status as { allowed: boolean }).allowed;
  }

  for (const account of ACCOUNTS) {
    it(`${account} may do what its page says, and nothing beyond`, async function () {
      this.timeout(60_000);
      const given = rightsOf(account);
      for (const right of given) expect(await isAllowed(userOf(account), right), JSON.stringify(right)).to.equal(true);
      for (const [group, resource] of UNIVERSE)
        for (const verb of VERBS)
          for (const namespace of ['shop', SYSTEM_NAMESPACE]) {
            const wanted = { namespace, group, resource, verb, name: 'any-other' };
            const isGiven = given.some(
              (right) =>
                right.group === group &&
                right.resource === resource &&
                right.verb === verb &&
                // A name cannot limit what has none: create.
                right.name === '' &&
                (right.namespace !== SYSTEM_NAMESPACE || namespace === SYSTEM_NAMESPACE),
            );
            expect(await isAllowed(userOf(account), wanted), JSON.stringify(wanted)).to.equal(isGiven);
          }
    });
  }

  it('weft-reader may do what weft check does, and a port is forwarded with its rights, but not with create alone', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const api = { apiVersion: 'rbac.authorization.k8s.io/v1' };
    const roles = `${rbac}/namespaces/${SYSTEM_NAMESPACE}/roles`;
    const bindings = `${rbac}/namespaces/${SYSTEM_NAMESPACE}/rolebindings`;
    const bind = (kind: string, role: string, user: string) => ({
      ...api,
      kind: `${kind}Binding`,
      metadata: { name: `${role}-${user}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
    });
    const rules = [{ apiGroups: [''], resources: ['pods/portforward'], verbs: ['create'] }];
    await server.ask('POST', roles, { ...api, kind: 'Role', metadata: { name: 'create-alone' }, rules });
    await server.ask('POST', bindings, bind('Role', 'create-alone', OTHER));
    await server.ask('POST', bindings, bind('Role', 'weft-reader', PERSON));
    await server.ask('POST', `${rbac}/clusterrolebindings`, bind('ClusterRole', 'weft-reader', PERSON));
    const system = `namespaces/${SYSTEM_NAMESPACE}`;
    const forward = `/api/v1/${system}/pods/absent/portforward?ports=15014`;
    const statusOf = async (where: string, user: string) => (await server.ask('GET', where, undefined, user)).status;
    // The API server learns of a role by its own watch.
    await until(async () => (await statusOf('/api/v1/pods', PERSON)) === 200, 'the rights are in force');
    await until(async () => (await statusOf(forward, PERSON)) !== 403, 'the rights are in force');
    for (const where of [
      '/api/v1/namespaces',
      '/api/v1/services',
      '/api/v1/limitranges',
      '/api/v1/resourcequotas',
      '/apis/apps/v1/deployments',
      '/apis/apps/v1/statefulsets',
      '/apis/apps/v1/daemonsets',
      `/apis/apps/v1/${system}/deployments`,
      `/apis/discovery.k8s.io/v1/${system}/endpointslices`,
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    ])
      expect(await statusOf(where, PERSON), where).to.equal(200);
    const webhooks = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    expect(await statusOf(`${webhooks}/weft-injector`, PERSON)).to.equal(404);
    for (const where of [
      webhooks,
      `/api/v1/${system}/secrets/weft-authority`,
      '/api/v1/secrets',
      '/api/v1/namespaces/shop/pods/x/portforward',
    ])
      expect(await statusOf(where, PERSON), where).to.equal(403);
    const review = { namespace: SYSTEM_NAMESPACE, group: '', resource: 'pods/portforward', verb: 'create', name: '' };
    await until(() => isAllowed(OTHER, review), 'the rights are in force');
    expect(await statusOf(forward, OTHER), 'a WebSocket begins with GET').to.equal(403);
  });

  it('the control plane and the injector do all of their work with them', async function () {
    this.timeout(60_000);
    const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-rights-'));
    const clientOf = (account: string): Promise<KubeClient> => {
      const file = path.join(directory, `${account}.conf`);
      const cluster = { name: 'c', cluster: { server: server.url, 'insecure-skip-tls-verify': true } };
      const user = { name: 'u', user: { token: server.tokenOf(userOf(account)) } };
      const context = { name: 'x', context: { cluster: 'c', user: 'u' } };
      const kubeconfig = {
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [cluster],
        users: [user],
        contexts: [context],
        'current-context': 'x',
      };
      writeFileSync(file, JSON.stringify(kubeconfig));
      return connectKube({ kubeconfig: file });
    };
    const refusals: string[] = [];
    const log: Logger = {
      ...silentLogger,
      warn: (message, fields) => void refusals.push(`${message} ${JSON.stringify(fields)}`),
      error: (message, fields) => void refusals.push(`${message} ${JSON.stringify(fields)}`),
      child: () => log,
    };
    const shop = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { 'weft.dev/inject': 'enabled' } } };
    const wrong = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'wrong', labels: { 'weft.dev/inject': 'enabeld' } } };
    for (const object of [shop, wrong]) await server.ask('POST', '/api/v1/namespaces', object);
    const webhook = all.find(({ kind }) => kind === 'MutatingWebhookConfiguration')!;
    expect((await server.ask('POST', collectionOf(webhook), webhook)).status).to.equal(201);
    const around = { timers: systemTimers, random: Math.random, log };
    const controlPlane = new ClusterProgram({
      ...around,
      client: await clientOf('weft-control-plane'),
      pod: { namespace: SYSTEM_NAMESPACE, name: 'weft-control-plane-1' },
      trustDomain: 'cluster.local',
      meshName: 'weft',
      leafLifetimeMs: undefined,
      clusterTrustBundle: BUNDLE,
      host: '127.0.0.1',
      port: 0,
      viewPort: 0,
    });
    const read = readInjectorSettings({ WEFT_IMAGE: 'weft:1', WEFT_HOST: '127.0.0.1' });
    if ('problems' in read) throw new Error(read.problems.join());
    const onFatal = (error: Error): never => {
      throw error;
    };
    const settings = { ...read.settings, webhookPort: 0, healthPort: 0 };
    const injector = await startInjector(settings, {
      ...around,
      client: await clientOf('weft-injector'),
      onFatal,
      secret: () => 'secret',
      resolve: async () => '127.0.0.1',
    });
    try {
      await controlPlane.start();
      const exists = async (where: string) => (await server.ask('GET', where)).status === 200;
      await until(() => injector.notReady() === '', 'the injector is ready');
      await until(() => exists('/api/v1/namespaces/shop/configmaps/weft-trust'), 'the roots are written');
      expect(await exists(`/api/v1/namespaces/${SYSTEM_NAMESPACE}/secrets/weft-authority`)).to.equal(true);
      expect(await exists(`/apis/coordination.k8s.io/v1/namespaces/${SYSTEM_NAMESPACE}/leases/weft-control-plane`)).to.equal(true);
      const messages = async () => JSON.stringify((await server.ask('GET', '/api/v1/events')).body);
      await until(async () => (await messages()).includes('enabeld'), 'the Event about the label is written');
      const status = async () => (await fetch(`http://127.0.0.1:${controlPlane.viewPort}/status`)).text();
      const standing = async () => (JSON.parse(await status()) as StatusView).authority;
      const phase = async () => (await standing())?.phase;
      await until(async () => (await status()).includes(`the ClusterTrustBundle ${BUNDLE} is not there`), 'the bundle is missed');
      const { certificate } = await Authority.generate({ trustDomain: 'corporate.test', now: Date.now });
      const bundle = {
        apiVersion: 'certificates.k8s.io/v1beta1',
        kind: 'ClusterTrustBundle',
        metadata: { name: BUNDLE },
        spec: { trustBundle: certificate },
      };
      expect((await server.ask('POST', '/apis/certificates.k8s.io/v1beta1/clustertrustbundles', bundle)).status).to.equal(201);
      await until(async () => (await standing())?.roots === 2, 'its root is trusted');
      const authority = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/secrets/weft-authority`;
      for (const [annotation, then] of [
        [ANNOTATION_ROTATE, 'retiring'],
        [ANNOTATION_FINISH, 'steady'],
      ] as const) {
        const { body } = await server.ask('GET', authority);
        const secret = body as { metadata: object };
        const asked = { ...secret, metadata: { ...secret.metadata, annotations: { [annotation]: 'now' } } };
        expect((await server.ask('PUT', authority, asked)).status).to.equal(200);
        await until(async () => (await phase()) === then, `the authority is ${then}`);
      }
      const text = await status();
      expect([text, ...refusals].join('\n')).to.not.match(/forbidden/i);
    } finally {
      await Promise.all([injector.stop(), controlPlane.stop()]);
      rmSync(directory, { recursive: true });
    }
  });

  it('takes every object of the chart, and knows each field', async function () {
    this.timeout(60_000);
    for (const [name, options] of Object.entries(CHART_CASES)) {
      for (const object of install(options)) {
        // Its CRD is the Prometheus Operator's.
        if (object.kind === 'PodMonitor') continue;
        const { status, body } = await server.ask('POST', `${collectionOf(object)}?dryRun=All&fieldValidation=Strict`, object);
        expect(status, `${name}: ${object.kind} ${object.metadata.name}: ${body.message}`).to.be.oneOf([201, 409]);
      }
    }
  });
});
