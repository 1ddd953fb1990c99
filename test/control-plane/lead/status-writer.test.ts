// The writer of statuses: what it writes, when it does not, and what it does when others write or the API server
// refuses.
import { expect } from 'chai';
import { StatusWriter } from '#control-plane/lead/status-writer.ts';
import type { RouteState } from '#control-plane/publish/standings.ts';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { KubeError } from '#kube/api.ts';
import { type GRPCRoute, grpcRouteKind } from '#objects/grpc-route.ts';
import { httpRouteKind } from '#objects/http-route.ts';
import type { Route, RouteParentEntry } from '#objects/route.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { ManualTimers } from '../../support/manual-timers.ts';

const CANARY = { kind: grpcRouteKind, namespace: 'shop', name: 'canary' };
const FOREIGN: RouteParentEntry = { parentRef: { name: 'edge' }, controllerName: 'example.com/gateway', conditions: [] };

describe('control-plane/lead: status-writer', () => {
  let api: FakeApi;
  let timers: ManualTimers;
  let writer: StatusWriter;
  let routes: Route[];
  let states: RouteState[];
  let leading: boolean;
  /** Replicas that do not answer. */
  let unknown: string;
  let trouble: string[];

  beforeEach(() => {
    api = new FakeApi();
    timers = new ManualTimers(Date.parse('2026-01-01T00:00:00Z'));
    leading = true;
    unknown = '';
    trouble = [];
    states = [state()];
    sees(stored({}));
    writer = new StatusWriter({
      client: api,
      routes: () => routes,
      states: () => states,
      total: ({ applied: { want, applied, rejected } }) => ({ want, applied, rejected: rejected.length, refusals: rejected, unknown }),
      stillLeading: () => leading,
      timers,
      random: () => 0.5,
      log: silentLogger,
      onTrouble: (_, reason) => trouble.push(reason),
    });
  });

  afterEach(() => writer.stop());

  function state(more: Partial<RouteState> = {}): RouteState {
    return {
      route: { kind: 'GRPCRoute', namespace: 'shop', name: 'canary' },
      generation: 1,
      parentRef: { group: '', kind: 'Service', name: 'payment' },
      parent: 'shop/payment',
      version: 'v',
      conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: 'yes', observedGeneration: more.generation ?? 1 }],
      applied: { want: 0, applied: 0, rejected: [] },
      ...more,
    };
  }

  function stored(status: object, generation = 1): GRPCRoute {
    return api.put(CANARY, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GRPCRoute',
      metadata: { generation },
      status,
    }) as GRPCRoute;
  }

  /** The watch shows this version. */
  function sees(route: GRPCRoute): void {
    routes = [route];
  }

  /** Lets time pass, and what was begun meanwhile come to its end. */
  async function pass(ms: number): Promise<void> {
    timers.advance(ms);
    for (let i = 0; i < 50; i++) await Promise.resolve();
  }

  async function lead(): Promise<void> {
    writer.lead(true);
    await pass(200);
  }

  const entries = () => (api.get(CANARY) as GRPCRoute).status!.parents!;
  const echo = () => sees(structuredClone(api.get(CANARY)) as GRPCRoute);

  it('writes the verdict once, to the status alone, with the version that it saw', async () => {
    await lead();
    expect(api.writes).to.have.length(1);
    expect(api.writes[0]).to.deep.include({
      method: 'PUT',
      path: '/apis/gateway.networking.k8s.io/v1/namespaces/shop/grpcroutes/canary/status',
    });
    expect(api.writes[0]!.body).to.have.all.keys('apiVersion', 'kind', 'metadata', 'status');
    expect(entries()).to.deep.equal([
      {
        parentRef: { group: '', kind: 'Service', name: 'payment' },
        controllerName: CONTROLLER_NAME,
        conditions: [
          {
            type: 'Accepted',
            status: 'True',
            reason: 'Accepted',
            message: 'yes',
            observedGeneration: 1,
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ],
      },
    ]);
    echo();
    writer.touch();
    await pass(300_000);
    expect(api.writes).to.have.length(1);
  });

  it('tells routes of two kinds with one name apart', async () => {
    const path = { kind: httpRouteKind, namespace: 'shop', name: 'canary' };
    const http = api.put(path, { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata: { generation: 1 }, status: {} });
    routes = [...routes, http as Route];
    const lost = { ...state().conditions[0]!, status: 'False' as const, reason: 'Conflicted' };
    states = [state(), state({ route: { kind: 'HTTPRoute', namespace: 'shop', name: 'canary' }, conditions: [lost] })];
    await lead();
    expect(api.writes.map(({ path }) => path).sort()).to.deep.equal([
      '/apis/gateway.networking.k8s.io/v1/namespaces/shop/grpcroutes/canary/status',
      '/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/canary/status',
    ]);
    expect(entries()[0]!.conditions![0]).to.include({ status: 'True' });
    expect((api.get(path) as Route).status!.parents![0]!.conditions![0]).to.include({ status: 'False', reason: 'Conflicted' });
  });

  it('does not write again before the watch has shown what it wrote', async () => {
    await lead();
    writer.touch();
    await pass(2000);
    expect(api.writes).to.have.length(1);
  });

  it('writes nothing unless it leads, also when it learns late that it does not', async () => {
    writer.touch();
    await pass(1000);
    leading = false;
    await lead();
    expect(api.asked).to.have.length(0);
  });

  it('leaves routes alone that have no Service for a parent', async () => {
    states = [];
    sees(stored({ parents: [FOREIGN] }));
    await lead();
    expect(api.asked).to.have.length(0);
  });

  it('takes its entry away when the parentRef is gone', async () => {
    await lead();
    echo();
    states = [];
    writer.touch();
    await pass(200);
    expect(entries()).to.deep.equal([]);
  });

  it('waits for the translation of a newer version', async () => {
    sees(stored({}, 2));
    await lead();
    expect(api.asked).to.have.length(0);
    states = [state({ generation: 2 })];
    writer.touch();
    await pass(200);
    expect(entries()[0]!.conditions![0]!.observedGeneration).to.equal(2);
  });

  it('begins anew with what another wrote meanwhile', async () => {
    stored({ parents: [FOREIGN] });
    await lead();
    expect(api.asked.map(({ method }) => method)).to.deep.equal(['PUT', 'GET', 'PUT']);
    expect(entries().map(({ controllerName }) => controllerName)).to.deep.equal([FOREIGN.controllerName, CONTROLLER_NAME]);
    expect(writer.counts).to.deep.equal({ written: 1, conflict: 1, failed: 0 });
  });

  it('forgets a route that was deleted', async () => {
    api.drop(CANARY);
    await lead();
    routes = [];
    await pass(60_000);
    expect(writer.counts.failed).to.equal(0);
    expect(api.asked).to.have.length(1);
  });

  it('goes on when the API server is back', async () => {
    api.intercept = () => {
      throw new KubeError('503', 503, 'ServiceUnavailable');
    };
    await lead();
    expect(writer.counts.failed).to.equal(1);
    expect(writer.problem).to.equal('statuses of routes cannot be written: 503');
    for (let i = 0; i < 60; i++) await pass(1000);
    const tried = api.asked.length;
    expect(tried).to.be.greaterThan(1).and.lessThan(20);
    api.intercept = () => undefined;
    for (let i = 0; i < 40; i++) await pass(1000);
    expect(writer.counts.written).to.equal(1);
    expect(writer.problem).to.equal('');
  });

  it('has no problem any more where the route is gone that could not be written', async () => {
    api.intercept = () => {
      throw new KubeError('503', 503, 'ServiceUnavailable');
    };
    await lead();
    routes = [];
    for (let i = 0; i < 60; i++) await pass(1000);
    expect(writer.problem).to.equal('');
  });

  it('reports a status that is refused because of its content once, and tries seldom', async () => {
    api.intercept = () => {
      throw new KubeError('422 status.parents[0]: invalid', 422, 'Invalid');
    };
    await lead();
    for (let i = 0; i < 120; i++) await pass(1000);
    expect(trouble).to.deep.equal(['StatusRefused']);
    expect(api.asked.length).to.be.lessThan(20);
  });

  it('remembers nothing of a route that was deleted: one of the same name begins anew', async () => {
    const refuse = (): never => {
      throw new KubeError('422 status.parents[0]: invalid', 422, 'Invalid');
    };
    api.intercept = refuse;
    await lead();
    for (let i = 0; i < 120; i++) await pass(1000);
    routes = [];
    writer.touch();
    await pass(200);
    sees(stored({ parents: Array.from({ length: 32 }, (_, i) => ({ ...FOREIGN, parentRef: { name: `edge-${i}` } })) }));
    writer.touch();
    await pass(200);
    routes = [];
    writer.touch();
    await pass(200);
    api.intercept = () => undefined;
    sees(stored({}));
    writer.touch();
    await pass(200);
    expect(writer.counts.written).to.equal(1);
    expect(trouble).to.deep.equal(['StatusRefused', 'StatusFull']);
  });

  it('waits a minute at most, whatever the API server asks for', async () => {
    api.intercept = () => {
      throw new KubeError('429 slow down', 429, 'TooManyRequests', 24 * 3600_000);
    };
    await lead();
    expect(writer.counts.failed).to.equal(1);
    api.intercept = () => undefined;
    await pass(59_000);
    expect(writer.counts.written).to.equal(0);
    await pass(2_000);
    expect(writer.counts.written).to.equal(1);
  });

  it('reports that others have left no room', async () => {
    sees(stored({ parents: Array.from({ length: 32 }, (_, i) => ({ ...FOREIGN, parentRef: { name: `edge-${i}` } })) }));
    await lead();
    writer.touch();
    await pass(1000);
    expect(trouble).to.deep.equal(['StatusFull']);
    expect(api.writes).to.have.length(0);
  });

  it('adds on how many sidecars a route is in force when it has settled', async () => {
    states = [state({ applied: { want: 2, applied: 1, rejected: [] } })];
    await lead();
    echo();
    expect(entries()[0]!.conditions!.map(({ type }) => type)).to.deep.equal(['Accepted']);
    states = [state({ applied: { want: 2, applied: 2, rejected: [] } })];
    await pass(1500);
    expect(entries()[0]!.conditions![1]).to.include({
      type: 'weft.dev/Applied',
      status: 'True',
      message: 'applied on 2 of 2 sidecars',
    });
    echo();
    // Unsettled sidecars are no reason to write before five seconds are over.
    states = [state({ applied: { want: 2, applied: 1, rejected: [] } })];
    writer.touch('counts');
    await pass(3000);
    expect(api.writes).to.have.length(2);
    await pass(3000);
    expect(entries()[0]!.conditions![1]).to.include({ status: 'False', reason: 'Pending' });
  });

  it('says of a new version at once that it is not in force yet, and a second later that it is', async () => {
    states = [state({ applied: { want: 1, applied: 1, rejected: [] } })];
    await lead();
    echo();
    await pass(1500);
    echo();
    sees(stored({ parents: entries() }, 2));
    states = [state({ generation: 2, applied: { want: 1, applied: 0, rejected: [] } })];
    writer.touch();
    await pass(6000);
    echo();
    expect(entries()[0]!.conditions!.map((one) => `${one.type} ${one.status} ${one.observedGeneration}`)).to.deep.equal([
      'Accepted True 2',
      'weft.dev/Applied False 2',
    ]);
    states = [state({ generation: 2, applied: { want: 1, applied: 1, rejected: [] } })];
    writer.touch('counts');
    await pass(1500);
    expect(entries()[0]!.conditions![1]).to.include({ status: 'True', reason: 'AllSidecars' });
  });

  describe('with many routes whose counts change', () => {
    let names: string[];
    const at = (name: string) => ({ ...CANARY, name });
    let counts: Map<string, number>;
    let generations: Map<string, number>;

    const add = (name: string): void => {
      counts.set(name, 5);
      api.put(at(name), { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'GRPCRoute', metadata: { generation: 1 } });
    };
    /** All that the watch and the sidecars say now. */
    const show = (): void => {
      routes = [...counts.keys()].map((name) => structuredClone(api.get(at(name))) as GRPCRoute);
      states = [...counts].map(([name, want]) =>
        state({
          route: { kind: 'GRPCRoute', namespace: 'shop', name },
          generation: generations.get(name) ?? 1,
          parent: `shop/${name}`,
          applied: { want, applied: want, rejected: [] },
        }),
      );
    };
    const seconds = async (count: number, churn: boolean): Promise<void> => {
      for (let i = 0; i < count; i++) {
        if (churn) for (const name of names) counts.set(name, counts.get(name)! + 1);
        for (let step = 0; step < 10; step++) {
          show();
          writer.touch(step === 0 ? 'counts' : 'routes');
          await pass(100);
        }
      }
    };
    const verdictOf = (name: string) => (api.get(at(name)) as GRPCRoute).status?.parents?.[0]?.conditions?.[0];
    const countOf = (name: string) =>
      (api.get(at(name)) as GRPCRoute).status?.parents?.[0]?.conditions?.find(({ type }) => type === 'weft.dev/Applied');

    const begin = (size: number): void => {
      names = Array.from({ length: size }, (_, i) => `route-${i}`);
      counts = new Map();
      generations = new Map();
      for (const name of names) add(name);
      show();
      writer.lead(true);
    };

    it('writes all verdicts within a minute, and that of a new route within a second', async () => {
      begin(700);
      await seconds(20, true);
      expect(names.filter((name) => verdictOf(name) === undefined)).to.deep.equal([]);
      add('new');
      await seconds(1, true);
      expect(verdictOf('new')).to.include({ type: 'Accepted', status: 'True' });
    });

    it('writes the verdict on a route that somebody has changed before those of a start', async () => {
      begin(400);
      await seconds(2, false);
      expect(names.filter((name) => verdictOf(name) === undefined).length).to.be.greaterThan(100);
      const [changed] = names;
      expect(verdictOf(changed!)).to.not.equal(undefined);
      // Last in the order of the store, as one that was deleted and made anew.
      counts.delete(changed!);
      counts.set(changed!, 5);
      generations.set(changed!, 2);
      const before = api.get(at(changed!)) as GRPCRoute;
      api.put(at(changed!), { ...before, metadata: { ...before.metadata, name: changed!, generation: 2 } });
      await seconds(1, false);
      expect(verdictOf(changed!)).to.include({ observedGeneration: 2 });
      expect(names.filter((name) => verdictOf(name) === undefined)).to.not.deep.equal([]);
    });

    it('writes every count in its turn', async () => {
      begin(60);
      await seconds(45, true);
      expect(names.filter((name) => countOf(name) === undefined)).to.deep.equal([]);
    });

    it('writes nothing for a replica that restarts, and does not starve verdicts for one that stays away', async () => {
      begin(20);
      await seconds(15, false);
      const before = api.writes.length;
      unknown = 'weft-1';
      await seconds(8, false);
      unknown = '';
      await seconds(8, false);
      expect(api.writes.length).to.equal(before);
      unknown = 'weft-1';
      await seconds(12, false);
      add('new');
      await seconds(1, false);
      expect(verdictOf('new')).to.include({ type: 'Accepted', status: 'True' });
      await seconds(15, false);
      expect(names.filter((name) => countOf(name)?.status !== 'Unknown')).to.deep.equal([]);
    });

    it('writes nothing when nothing changes', async () => {
      begin(60);
      await seconds(45, false);
      const before = api.writes.length;
      await seconds(60, false);
      expect(api.writes.length).to.equal(before);
    });
  });
});
