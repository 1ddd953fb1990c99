// The rights of docs/reference/rbac.md at a real API server: each is given, nothing beyond is, and every object of the
// chart is one that it takes.
import { expect } from 'chai';
import { CHART_KINDS } from '#chart/chart-kinds.ts';
import { install } from '#cli/installation/objects.ts';
import { SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { pathOf } from '#kube/api.ts';
import { neededBy } from '../support/needed.ts';
import { type RealApiServer, startRealApiServer } from '../support/real-api-server.ts';
import { until } from '../support/until.ts';
import { CHART_CASES } from './chart-cases.ts';

const ACCOUNTS = ['weft-control-plane', 'weft-injector'];
const userOf = (account: string): string => `system:serviceaccount:${SYSTEM_NAMESPACE}:${account}`;
const PERSON = 'person';
const OTHER = 'other';
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
  const all = install({ ha: true, files: [], set: [] });

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
