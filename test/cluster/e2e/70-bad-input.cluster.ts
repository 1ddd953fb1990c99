// What must not hurt: poisoned routes, tokens that prove nothing, rights that go and come, a Gateway API that is not
// there yet.
import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { IssueRequestSchema } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_NAME, CONTROLLER_NAME, SYSTEM_NAMESPACE, TOKEN_AUDIENCE } from '#core/contract/names.ts';
import type { Call, Caller, GrpcAnswer } from '../support/caller.ts';
import { type Condition, eventually, type Item } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-bad';
const OUTSIDE = 'e2e-bad-outside';
const GOOD: Call = { to: `good.${NS}:7070` };
const POISONED: Call = { to: `poisoned.${NS}:7070` };
const UNAUTHENTICATED = 16;
const UNIMPLEMENTED = 12;

describe('Bad input', () => {
  const stage = scene({ [NS]: INJECT, [OUTSIDE]: {} });
  let caller: Caller;
  let outsider: Caller;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(echo({ namespace: NS, name: 'echo' }), service(NS, 'echo'), service(NS, 'good'), service(NS, 'poisoned'));
    await stage.objects.apply(routeTo('good', 'good', 'fine'), routeTo('poisoned', 'poisoned', 'fine'));
    [caller, outsider] = await Promise.all([stage.caller(NS), stage.caller(OUTSIDE, 'outsider'), stage.objects.rolledOut(NS, 'echo')]);
    for (const call of [GOOD, POISONED]) await caller.until('the route', call, shows('fine'));
  });

  describe('a route that cannot be served', () => {
    /** What the API server's own validation lets through. */
    const poisons: Record<string, Parameters<typeof grpcRoute>[3][number]> = {
      'a pattern that is none': { matches: [{ headers: [{ name: 'x-a', type: 'RegularExpression', value: '(((' }] }] },
      'a pattern that takes for ever elsewhere': {
        matches: [{ headers: [{ name: 'x-a', type: 'RegularExpression', value: '(a+)+$(?=b)' }] }],
      },
      'a filter of somebody else': {
        filters: [{ type: 'ExtensionRef', extensionRef: { group: 'example.com', kind: 'Plugin', name: 'x' } }],
      },
      'a header that is the protocol’s': {
        filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'te', value: 'x' }] } }],
      },
      'a header that is set and removed': {
        filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-a', value: '1' }], remove: ['x-a'] } }],
      },
    };

    for (const [name, poison] of Object.entries(poisons)) {
      it(`with ${name} says so in its status and disturbs no other call`, async () => {
        const route = grpcRoute(NS, 'poisoned', 'poisoned', [{ ...poison, backendRefs: [backend('echo')] }]);
        const value = `after ${randomBytes(4).toString('hex')}`;
        await stage.objects.apply(route);
        const accepted = await eventually('a verdict', async () => {
          const { metadata, status } = (await stage.objects.get<Item & Status>('grpcroute', 'poisoned', NS))!;
          const ours = status?.parents?.find(({ controllerName }) => controllerName === CONTROLLER_NAME);
          const condition = ours?.conditions.find(({ type }) => type === 'Accepted');
          return condition?.observedGeneration === metadata.generation && condition;
        });
        expect([accepted.status, accepted.reason]).to.deep.equal(['False', 'UnsupportedValue']);
        expect(accepted.message).not.to.contain('\r');
        await stage.objects.apply(routeTo('good', 'good', value));
        await caller.until('another Service’s change', GOOD, shows(value));
        await stage.objects.apply(routeTo('poisoned', 'poisoned', value));
        await caller.until('the mended route', POISONED, shows(value));
      });
    }

    it('is refused by the API server itself where its schema says so', async () => {
      const unknown = grpcRoute(NS, 'unknown', 'good', [{ filters: [{ type: 'NoSuchFilter' }] }]);
      expect(await stage.objects.refused(unknown)).to.contain('NoSuchFilter');
      const split = { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-a', value: 'a\r\nx-b: 1' }] } };
      expect(await stage.objects.refused(grpcRoute(NS, 'split', 'good', [{ filters: [split] }]))).to.contain('x-b: 1');
    });
  });

  describe('a certificate', () => {
    const issue: Call = {
      to: `${CONTROL_PLANE_NAME}.${SYSTEM_NAMESPACE}.svc:${CONTROL_PLANE_GRPC_PORT}`,
      tls: true,
      path: '/weft.v1.Certificates/Issue',
    };

    it('is given for the token of a pod and for no other', async () => {
      const pod = await outsider.pod();
      const bound = ['--bound-object-kind=Pod', `--bound-object-name=${pod.metadata.name}`, `--bound-object-uid=${pod.metadata.uid}`];
      const token = async (...args: string[]) => (await stage.objects.must(['create', 'token', 'default', '-n', OUTSIDE, ...args])).trim();
      const good = await token(`--audience=${TOKEN_AUDIENCE}`, ...bound);
      const [head, claims] = good.split('.');
      const refused: Record<string, string | undefined> = {
        'no token': undefined,
        garbage: 'garbage',
        'the API server’s own audience': await token(...bound),
        'another audience': await token('--audience=somebody-else', ...bound),
        'bound to no pod': await token(`--audience=${TOKEN_AUDIENCE}`),
        'a forged signature': `${head}.${claims}.${randomBytes(256).toString('base64url')}`,
        'signed with nothing': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`,
      };
      const answers: Record<string, [number, string]> = {};
      for (const [name, value] of Object.entries(refused)) {
        const { grpcStatus, message } = await ask(value);
        answers[name] = [grpcStatus, message];
      }
      expect(Object.entries(answers).filter(([, [status]]) => status !== UNAUTHENTICATED)).to.deep.equal([]);
      const words = new Set(
        Object.entries(answers)
          .filter(([name]) => name !== 'no token')
          .map(([, [, message]]) => message),
      );
      expect([...words], 'one message for all that were looked at').to.have.length(1);
      const given = await ask(good);
      expect(given.grpcStatus, given.message).to.equal(0);
    });

    it('is not given for the token of a pod that is gone', async () => {
      const gone = await stage.caller(OUTSIDE, 'gone');
      const pod = await gone.pod();
      const args = ['create', 'token', 'default', '-n', OUTSIDE, `--audience=${TOKEN_AUDIENCE}`, '--bound-object-kind=Pod'];
      const token = (await stage.objects.must([...args, '--bound-object-name=gone', `--bound-object-uid=${pod.metadata.uid}`])).trim();
      await stage.objects.delete('pod', 'gone', OUTSIDE, ['--wait=true']);
      expect((await ask(token)).grpcStatus).to.equal(UNAUTHENTICATED);
    });

    async function ask(token: string | undefined): Promise<GrpcAnswer> {
      const headers: [string, string][] = token === undefined ? [] : [['authorization', `Bearer ${token}`]];
      return outsider.grpc({ ...issue, headers, body: issueRequest(), fresh: true });
    }
  });

  it('keeps serving what it knows while its rights are revoked, and follows changes once it has them back', async () => {
    const roles = (await stage.objects.list<Item & { rules: unknown[] }>('clusterroles')).filter(
      ({ metadata }) => metadata.name === CONTROL_PLANE_NAME,
    );
    expect(roles).to.have.length(1);
    const [role] = roles;
    await stage.objects.patch('clusterrole', CONTROL_PLANE_NAME, undefined, { rules: [] });
    try {
      // A watch that stands is not cut when rights go; a new control plane pod has none of its own.
      await stage.objects.must(['rollout', 'restart', `deployment/${CONTROL_PLANE_NAME}`, '-n', SYSTEM_NAMESPACE]);
      await stage.objects.apply(routeTo('good', 'good', 'without rights'));
      for (let i = 0; i < 20; i++) {
        const answer = await caller.grpc(GOOD);
        expect(answer.grpcStatus, JSON.stringify(answer)).to.equal(0);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    } finally {
      await stage.objects.patch('clusterrole', CONTROL_PLANE_NAME, undefined, { rules: role!.rules });
    }
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    await caller.until('the change', GOOD, shows('without rights'), 60_000);
  });

  it('waits for the GRPCRoute CRD, names it, and serves routes as soon as it is there', async function () {
    this.timeout(300_000);
    const name = 'grpcroutes.gateway.networking.k8s.io';
    const crd = (await stage.objects.get<Item & { status?: unknown }>('crd', name))!;
    await stage.objects.delete('crd', name);
    try {
      await caller.until(
        'the Service without routes',
        GOOD,
        (answer) => answer.grpcStatus === 0 && answer.headers['x-route'] === undefined,
      );
      await stage.objects.must(['rollout', 'restart', `deployment/${CONTROL_PLANE_NAME}`, '-n', SYSTEM_NAMESPACE]);
      await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
      expect((await caller.grpc(GOOD)).grpcStatus).to.equal(0);
      await eventually('the CRD’s name in the log', async () =>
        (await stage.objects.must(['logs', `deployment/${CONTROL_PLANE_NAME}`, '-n', SYSTEM_NAMESPACE]))
          .toLowerCase()
          .includes('grpcroute'),
      );
    } finally {
      const { name: crdName, labels, annotations } = crd.metadata;
      await stage.objects.must(
        ['create', '-f', '-'],
        JSON.stringify({ ...crd, metadata: { name: crdName, labels, annotations }, status: undefined }),
      );
    }
    await stage.objects.must(['wait', '--for=condition=Established', `crd/${name}`, '--timeout=60s']);
    await eventually('the CRD to be served', async () => {
      await stage.objects.apply(routeTo('good', 'good', 'served again'));
      return true;
    });
    await caller.until('the route', GOOD, shows('served again'), 120_000);
  });

  it('answers a method that no application knows as the application would', async () => {
    const answer = await caller.grpc({ ...GOOD, path: '/no.Such/Method' });
    expect(answer.grpcStatus).to.equal(UNIMPLEMENTED);
  });

  function routeTo(parent: string, name: string, value: string): Item {
    return grpcRoute(NS, name, parent, [{ filters: [answerHeader('x-route', value)], backendRefs: [backend('echo')] }]);
  }
});

interface Status {
  status?: { parents?: { controllerName: string; conditions: Condition[] }[] };
}

function shows(value: string): (answer: GrpcAnswer) => boolean {
  return ({ headers }) => headers['x-route'] === value;
}

/** A proper request with proof of possession, as base64. */
function issueRequest(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const nonce = randomBytes(32);
  const proof = createSign('sha256').update('weft.v1.Certificates/Issue\n').update(nonce).update(spki).sign(privateKey);
  const request = create(IssueRequestSchema, { publicKey: spki, nonce, proof });
  return Buffer.from(toBinary(IssueRequestSchema, request)).toString('base64');
}
