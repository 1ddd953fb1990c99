// HTTPRoutes on Services, through pods and over HTTP/2: the API server's own CRD takes them, gRPC's paths are matched as
// any path, and of two kinds on one port the more specific one holds.
import { expect } from 'chai';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import type { Call, Caller } from '../support/caller.ts';
import { type Condition, eventually, type Item } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, GRPC_PORT, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-http-routes';
const ECHO: Call = { to: `echo.${NS}:7070` };
const UNIMPLEMENTED = 12;

interface Route extends Item {
  status?: { parents?: { controllerName: string; conditions: Condition[] }[] };
}

function httpRoute(name: string, rules: readonly object[]): Item {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: NS },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'echo', port: GRPC_PORT }], rules },
  } as Item;
}

describe('HTTPRoutes', () => {
  const stage = scene({ [NS]: INJECT });
  let caller: Caller;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      echo({ namespace: NS, name: 'echo-v1', version: 'v1' }),
      echo({ namespace: NS, name: 'echo-v2', version: 'v2' }),
      service(NS, 'echo'),
      service(NS, 'echo-v1', { version: 'v1' }),
      service(NS, 'echo-v2', { version: 'v2' }),
    );
    [caller] = await Promise.all([stage.caller(NS), stage.objects.rolledOut(NS, 'echo-v1', 'echo-v2')]);
    await caller.until('an answer without routes', ECHO, ({ grpcStatus }) => grpcStatus === 0);
  });

  const conditionsOf = async (name: string): Promise<Record<string, string>> => {
    const found = (await stage.objects.list('httproutes', NS)).find(({ metadata }) => metadata.name === name) as Route | undefined;
    const ours = found?.status?.parents?.find(({ controllerName }) => controllerName === CONTROLLER_NAME);
    return Object.fromEntries((ours?.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]));
  };

  it('lead by path and header, with filters, and what matches nothing is refused', async () => {
    await stage.objects.apply(
      httpRoute('paths', [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/proto.EchoTestService' }, headers: [{ name: 'x-version', value: 'v2' }] }],
          filters: [answerHeader('x-route', 'header')],
          backendRefs: [backend('echo-v2')],
        },
        {
          matches: [{ path: { type: 'Exact', value: '/proto.EchoTestService/Echo' }, method: 'POST' }],
          filters: [answerHeader('x-route', 'exact')],
          backendRefs: [backend('echo-v1')],
        },
      ]),
    );
    await caller.until('the rule of the path', ECHO, ({ headers }) => headers['x-route'] === 'exact');
    expect(await caller.shares(ECHO, 30)).to.deep.equal({ 'echo-v1': 30 });
    const other = { ...ECHO, path: '/proto.EchoTestService/NoSuchMethod' };
    const led = await caller.grpc({ ...other, headers: [['x-version', 'v2']] });
    expect(led.headers['x-route']).to.equal('header');
    expect((await caller.grpc(other)).grpcStatus).to.equal(UNIMPLEMENTED);
    expect(await conditionsOf('paths')).to.include({ Accepted: 'True Accepted', ResolvedRefs: 'True ResolvedRefs' });
    await eventually('it is applied', async () =>
      (await conditionsOf('paths'))['weft.dev/Applied'] === 'True AllSidecars' ? true : undefined,
    );
  });

  it('give way to a GRPCRoute on their port, and say so', async () => {
    await stage.objects.apply(
      grpcRoute(NS, 'calls', 'echo', [{ filters: [answerHeader('x-route', 'grpc')], backendRefs: [backend('echo-v2')] }]),
    );
    await caller.until('the GRPCRoute', ECHO, ({ headers }) => headers['x-route'] === 'grpc');
    await eventually('the conflict is said', async () =>
      (await conditionsOf('paths')).Accepted === 'False Conflicted' ? true : undefined,
    );
    await stage.objects.delete('grpcroute', 'calls', NS);
    await caller.until('the HTTPRoute again', ECHO, ({ headers }) => headers['x-route'] === 'exact');
    await eventually('it is accepted again', async () => ((await conditionsOf('paths')).Accepted === 'True Accepted' ? true : undefined));
  });
});
