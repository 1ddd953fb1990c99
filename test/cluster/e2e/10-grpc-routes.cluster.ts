// GRPCRoutes on Services, through pods: matches, filters, merging, producers and consumers, and what happens where a
// route leads nowhere.
import { expect } from 'chai';
import { type Call, type Caller, deploymentOf, type GrpcAnswer } from '../support/caller.ts';
import { eventually, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-routes';
const CONSUMER = 'e2e-routes-consumer';
const ECHO: Call = { to: `echo.${NS}:7070` };
const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;

describe('GRPCRoutes', () => {
  const stage = scene({ [NS]: INJECT, [CONSUMER]: INJECT });
  let caller: Caller;
  let consumer: Caller;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      echo({ namespace: NS, name: 'echo-v1', version: 'v1' }),
      echo({ namespace: NS, name: 'echo-v2', version: 'v2' }),
      service(NS, 'echo'),
      service(NS, 'echo-v1', { version: 'v1' }),
      service(NS, 'echo-v2', { version: 'v2' }),
      service(NS, 'nobody', { version: 'none' }),
    );
    [caller, consumer] = await Promise.all([stage.caller(NS), stage.caller(CONSUMER), stage.objects.rolledOut(NS, 'echo-v1', 'echo-v2')]);
    await caller.until('an answer without routes', ECHO, ok);
    await consumer.until('an answer without routes', ECHO, ok);
  });

  afterEach(async () => {
    for (const namespace of [NS, CONSUMER]) await stage.objects.must(['delete', 'grpcroutes', '--all', '-n', namespace]);
    const plain = (answer: GrpcAnswer): boolean => ok(answer) && answer.headers['x-route'] === undefined;
    await caller.until('the Service without its route', ECHO, plain);
  });

  it('balances a Service without routes over its pods', async () => {
    const shares = await caller.shares(ECHO, 100);
    expect(shares).to.have.all.keys('echo-v1', 'echo-v2');
    expect((shares['echo-v1'] ?? 0) + (shares['echo-v2'] ?? 0)).to.equal(100);
  });

  it('sends a method to the backend of its rule', async () => {
    await stage.objects.apply(
      grpcRoute(NS, 'method', 'echo', [
        {
          matches: [{ method: { service: 'proto.EchoTestService', method: 'Echo' } }],
          backendRefs: [backend('echo-v2')],
          filters: [answerHeader('x-route', 'method')],
        },
        {
          matches: [{ method: { service: 'proto.EchoTestService' } }],
          backendRefs: [backend('echo-v1')],
          filters: [answerHeader('x-route', 'service')],
        },
      ]),
    );
    await caller.until('the method rule', ECHO, (answer) => answer.headers['x-route'] === 'method');
    expect(await caller.shares(ECHO, 30)).to.deep.equal({ 'echo-v2': 30 });
    const other = await caller.grpc({ ...ECHO, path: '/proto.EchoTestService/NoSuchMethod' });
    expect(other.headers['x-route'], 'the application of echo-v1 answers').to.equal('service');
  });

  it('answers UNIMPLEMENTED where no rule matches, though the application would answer', async () => {
    await stage.objects.apply(
      grpcRoute(NS, 'other', 'echo', [
        { matches: [{ method: { service: 'proto.EchoTestService', method: 'ForwardEcho' } }], backendRefs: [backend('echo-v1')] },
      ]),
    );
    const answer = await caller.until('no match', ECHO, ({ grpcStatus }) => grpcStatus === UNIMPLEMENTED);
    expect(answer.httpStatus).to.equal(200);
    expect(answer.hostname).to.equal(undefined);
  });

  it('changes request headers: set, add, remove, and all of them together', async () => {
    const forCase = (name: string, requestHeaderModifier: unknown, to = 'echo-v1') => ({
      matches: [{ headers: [{ name: 'x-test-case', value: name }] }],
      filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier }],
      backendRefs: [backend(to)],
    });
    const named = (name: string, value: string) => ({ name, value });
    await stage.objects.apply(
      grpcRoute(NS, 'headers', 'echo', [
        forCase('set', { set: [named('x-header-set', 'set-overwrites-values')] }),
        forCase('add', { add: [named('x-header-add', 'add-appends-values')] }),
        forCase('remove', { remove: ['x-header-remove'] }),
        forCase(
          'multi',
          {
            set: [named('x-header-set-1', 'header-set-1'), named('x-header-set-2', 'header-set-2')],
            add: [named('x-header-add-1', 'header-add-1'), named('x-header-add-2', 'header-add-2')],
            remove: ['x-header-remove-1', 'x-header-remove-2'],
          },
          'echo-v2',
        ),
      ]),
    );
    const send = (name: string, ...headers: [string, string][]): Call => ({ ...ECHO, headers: [['x-test-case', name], ...headers] });
    const seen = (answer: GrpcAnswer, header: string): string | undefined => answer.seen[header]?.join(',');

    const set = send('set', ['x-header-set', 'original'], ['some-other-header', 'val']);
    const afterSet = await caller.until('the set rule', set, (answer) => seen(answer, 'x-header-set') === 'set-overwrites-values');
    expect(seen(afterSet, 'some-other-header')).to.equal('val');
    expect(seen(afterSet, 'x-test-case')).to.equal('set');
    expect(deploymentOf(afterSet)).to.equal('echo-v1');

    const added = await caller.grpc(send('add', ['x-header-add', 'this-value-should-be-appended']));
    expect(seen(added, 'x-header-add')).to.equal('this-value-should-be-appended,add-appends-values');

    const removed = await caller.grpc(send('remove', ['x-header-remove', 'val'], ['x-kept', 'kept']));
    expect(removed.seen).not.to.have.property('x-header-remove');
    expect(seen(removed, 'x-kept')).to.equal('kept');

    const multi = await caller.grpc(
      send('multi', ['x-header-set-2', 'old'], ['x-header-add-2', 'add-val-2'], ['x-header-remove-1', 'v'], ['x-header-remove-2', 'v']),
    );
    expect(deploymentOf(multi)).to.equal('echo-v2');
    expect(seen(multi, 'x-header-set-1')).to.equal('header-set-1');
    expect(seen(multi, 'x-header-set-2')).to.equal('header-set-2');
    expect(seen(multi, 'x-header-add-1')).to.equal('header-add-1');
    expect(seen(multi, 'x-header-add-2')).to.equal('add-val-2,header-add-2');
    expect(multi.seen).not.to.have.property('x-header-remove-1');
    expect(multi.seen).not.to.have.property('x-header-remove-2');

    expect((await caller.grpc(send('none'))).grpcStatus, 'a header that no rule names').to.equal(UNIMPLEMENTED);
  });

  it('merges two routes of one Service', async () => {
    const byVersion = (version: string) => [
      {
        matches: [{ headers: [{ name: 'x-version', value: version }] }],
        filters: [answerHeader('x-route', version)],
        backendRefs: [backend(`echo-${version}`)],
      },
    ];
    await stage.objects.apply(grpcRoute(NS, 'first', 'echo', byVersion('v1')), grpcRoute(NS, 'second', 'echo', byVersion('v2')));
    for (const version of ['v1', 'v2']) {
      const call: Call = { ...ECHO, headers: [['x-version', version]] };
      await caller.until(`the route of ${version}`, call, (answer) => answer.headers['x-route'] === version);
      expect(await caller.shares(call, 10)).to.deep.equal({ [`echo-${version}`]: 10 });
    }
    expect((await caller.grpc(ECHO)).grpcStatus).to.equal(UNIMPLEMENTED);
  });

  it("lets a consumer's route replace the producer's for its own namespace only", async () => {
    await stage.objects.apply(
      grpcRoute(NS, 'producer', 'echo', [{ filters: [answerHeader('x-route', 'producer')], backendRefs: [backend('echo-v1')] }]),
    );
    const shows = (value: string) => (answer: GrpcAnswer) => answer.headers['x-route'] === value;
    await caller.until('the producer route', ECHO, shows('producer'));
    await consumer.until('the producer route', ECHO, shows('producer'));

    const parent = { name: 'echo', namespace: NS, port: 7070 };
    const rules = [{ filters: [answerHeader('x-route', 'consumer')], backendRefs: [backend('echo-v2', undefined, { namespace: NS })] }];
    await stage.objects.apply(grpcRoute(CONSUMER, 'consumer', parent, rules));
    const answer = await consumer.until('the consumer route', ECHO, shows('consumer'));
    expect(deploymentOf(answer)).to.equal('echo-v2');
    const own = await caller.grpc(ECHO);
    expect(own.headers['x-route']).to.equal('producer');
    expect(deploymentOf(own)).to.equal('echo-v1');

    await stage.objects.delete('grpcroute', 'consumer', CONSUMER);
    await consumer.until('the producer route again', ECHO, shows('producer'));
  });

  it('fails the share of a backend that does not exist, and only that', async () => {
    await stage.objects.apply(grpcRoute(NS, 'invalid', 'echo', [{ backendRefs: [backend('echo-v1', 1), backend('missing', 1)] }]));
    await caller.until('a failing share', ECHO, ({ grpcStatus }) => grpcStatus === UNAVAILABLE || grpcStatus === 0);
    await eventually('a failure', async () => (await caller.grpc(ECHO)).grpcStatus === UNAVAILABLE, 30_000, 20);
    const shares = await caller.shares(ECHO, 200);
    expect(shares).to.have.all.keys('echo-v1', 'grpc-status 14');
    expect(shares['grpc-status 14']).to.be.within(60, 140);
  });

  it('answers UNAVAILABLE for a backend without endpoints, and for a rule whose weights are all zero', async () => {
    await stage.objects.apply(grpcRoute(NS, 'empty', 'echo', [{ backendRefs: [backend('nobody')] }]));
    await caller.until('UNAVAILABLE', ECHO, ({ grpcStatus }) => grpcStatus === UNAVAILABLE);
    await stage.objects.apply(
      grpcRoute(NS, 'empty', 'echo', [{ filters: [answerHeader('x-route', 'on')], backendRefs: [backend('echo-v1')] }]),
    );
    await caller.until('an answer', ECHO, (answer) => ok(answer) && answer.headers['x-route'] === 'on');
    await stage.objects.apply(grpcRoute(NS, 'empty', 'echo', [{ backendRefs: [backend('echo-v1', 0)] }]));
    await caller.until('UNAVAILABLE', ECHO, ({ grpcStatus }) => grpcStatus === UNAVAILABLE);
  });

  it('does not touch calls to a pod address, nor other ports of the Service', async () => {
    await stage.objects.apply(
      grpcRoute(NS, 'bypass', 'echo-v2', [{ filters: [answerHeader('x-route', 'echo-v2')], backendRefs: [backend('echo-v1')] }]),
    );
    await caller.until('the route', { to: 'echo-v2:7070' }, (answer) => answer.headers['x-route'] === 'echo-v2');
    const [pod] = await stage.objects.list<PodItem>('pods', NS, 'app=echo,version=v2');
    const direct = await caller.grpc({ to: `${pod!.status.podIP}:7070` });
    expect(direct.grpcStatus, JSON.stringify(direct)).to.equal(0);
    expect(deploymentOf(direct)).to.equal('echo-v2');
    expect(direct.headers).not.to.have.property('x-route');
    const http = await caller.http({ url: 'http://echo-v2/' });
    expect(http.status, JSON.stringify(http)).to.equal(200);
    expect(http.body).to.contain('Hostname=echo-v2-');
  });

  it('follows the address that was dialled, whatever the authority says', async () => {
    await stage.objects.apply(
      grpcRoute(NS, 'address', 'echo-v2', [{ filters: [answerHeader('x-route', 'echo-v2')], backendRefs: [backend('echo-v2')] }]),
    );
    await caller.until('the route', { to: 'echo-v2:7070' }, (answer) => answer.headers['x-route'] === 'echo-v2');
    const dialled = await caller.grpc({ to: 'echo-v2:7070', authority: 'echo-v1:7070' });
    expect([deploymentOf(dialled), dialled.headers['x-route']]).to.deep.equal(['echo-v2', 'echo-v2']);
    const claimed = await caller.grpc({ to: 'echo-v1:7070', authority: 'echo-v2:7070' });
    expect([deploymentOf(claimed), claimed.headers['x-route']]).to.deep.equal(['echo-v1', undefined]);
  });
});

function ok({ grpcStatus }: GrpcAnswer): boolean {
  return grpcStatus === 0;
}
