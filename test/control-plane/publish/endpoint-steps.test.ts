// Deltas of endpoints: what a sidecar makes of them is what it would have been sent whole, and a change costs what it
// changes.
import { create, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { EndpointSteps } from '#control-plane/publish/endpoint-steps.ts';
import { Publisher } from '#control-plane/publish/publisher.ts';
import { endpointsResource, type Sized } from '#control-plane/publish/resources.ts';
import type { Subscriber } from '#control-plane/publish/subscriber.ts';
import {
  AckSchema,
  HelloSchema,
  RejectionSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
  TrustBundleSchema,
} from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  type Endpoint,
  EndpointPortSchema,
  EndpointSchema,
  EndpointsSchema,
  PodAddressSchema,
  ServiceSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { silentLogger } from '#core/program/log.ts';
import { EndpointVersions } from '#sidecar/control/endpoint-versions.ts';
import { dice } from '../../support/dice.ts';
import { HandClock } from './shop.ts';

const KEY = 'shop/payment';
const NAME = `endpoints/${KEY}`;

const endpoint = (i: number, zone = ''): Endpoint =>
  create(EndpointSchema, {
    address: `10.0.${i >> 8}.${i & 255}`,
    port: 8080,
    identity: 'spiffe://t/ns/shop/sa/payment',
    pod: `shop/p-${i}`,
    zone,
  });

function sized(ports: readonly (readonly [port: number, endpoints: readonly Endpoint[]])[]): Sized {
  const byAddress = (a: Endpoint, b: Endpoint): number => (a.address < b.address ? -1 : 1);
  return endpointsResource(
    KEY,
    create(EndpointsSchema, {
      namespace: 'shop',
      name: 'payment',
      ports: ports.map(([port, endpoints]) => create(EndpointPortSchema, { port, endpoints: [...endpoints].sort(byAddress) })),
    }),
  );
}

describe('control-plane/publish: endpoint-steps', () => {
  it('make any of the last versions into the newest', () => {
    const random = dice(12);
    const pick = (below: number): number => Math.floor(random() * below);
    for (let run = 0; run < 40; run++) {
      const now = new Map<number, Endpoint>(Array.from({ length: 60 }, (_, i) => [i, endpoint(i)]));
      const whole = (): Sized =>
        sized([
          [80, [...now.values()]],
          [81, [...now.values()].slice(0, 9)],
        ]);
      const versions = [whole()];
      let steps = EndpointSteps.NONE;
      for (let change = 0; change < 20; change++) {
        for (let n = pick(4); n >= 0; n--) {
          const i = pick(80);
          if (pick(2) === 0) now.delete(i);
          else now.set(i, endpoint(i, `zone-${pick(3)}`));
        }
        const before = versions.at(-1)!;
        const after = whole();
        if (before.resource.version === after.resource.version) continue;
        steps = steps.next(before, after);
        versions.push(after);
      }
      const newest = versions.at(-1)!;
      let deltas = 0;
      for (const version of versions.slice(0, -1)) {
        const delta = steps.since(version.resource.version);
        if (delta === null) continue;
        deltas++;
        const held = new EndpointVersions();
        held.note([version.resource], [], new Set());
        const { whole: resources, refused } = held.complete([delta.resource]);
        expect(refused).to.deep.equal([]);
        expect(resources).to.deep.equal([newest.resource]);
      }
      expect(deltas).to.be.greaterThan(3);
    }
  });

  it('are none where more than endpoints is different, and none for versions of long ago', () => {
    const first = sized([[80, [endpoint(1)]]]);
    expect(EndpointSteps.NONE.next(first, sized([[81, [endpoint(1)]]])).since(first.resource.version)).to.equal(null);
    let steps = EndpointSteps.NONE;
    let before = sized([[80, Array.from({ length: 100 }, (_, i) => endpoint(i))]]);
    const oldest = before.resource.version;
    for (let i = 0; i < 17; i++) {
      const after = sized([[80, Array.from({ length: 101 + i }, (_, n) => endpoint(n))]]);
      steps = steps.next(before, after);
      before = after;
    }
    expect(steps.since(oldest)).to.equal(null);
  });
});

describe('control-plane/publish: deltas of endpoints', () => {
  let clock: HandClock;
  let publisher: Publisher;
  let endpoints: Endpoint[];
  let sent: SubscribeResponse[];
  let sidecar: Subscriber;

  beforeEach(async () => {
    clock = new HandClock();
    endpoints = Array.from({ length: 1000 }, (_, i) => endpoint(i));
    sent = [];
    publisher = new Publisher({
      translate: () => {
        const body = sized([[80, endpoints]]).resource.body;
        if (body.case !== 'endpoints') throw new Error('endpoints are expected');
        const service = create(ServiceSchema, { namespace: 'shop', name: 'payment', addresses: ['10.96.0.1'], ports: [{ port: 80 }] });
        return { service, endpoints: body.value, statuses: [] };
      },
      workloadOf: () => undefined,
      podAt: (address) => create(PodAddressSchema, { address }),
      trust: () => create(TrustBundleSchema, {}),
      timers: clock,
      elapsedMs: () => clock.now(),
      log: silentLogger,
    });
    await publisher.load([KEY]);
  });

  afterEach(() => publisher.close());

  function connect(deltas: boolean): void {
    const peer = { namespace: 'shop', serviceAccount: 'a', pod: 'p' };
    const hello = create(HelloSchema, { namespace: 'shop', pod: 'p', services: [KEY], deltas });
    sidecar = publisher.connect(peer, hello, { send: (response) => void sent.push(response), end: () => {} });
    acknowledge();
  }

  function acknowledge(refused: readonly string[] = []): void {
    const { nonce } = sent.at(-1)!;
    const rejected = refused.map((name) => create(RejectionSchema, { name, reason: 'no such base' }));
    sidecar.acknowledge(create(AckSchema, { nonce, rejected }));
  }

  async function oneLeaves(): Promise<void> {
    endpoints = endpoints.slice(1);
    publisher.servicesChanged([KEY]);
    clock.pass(1000);
    await new Promise((resolve) => setImmediate(resolve));
    clock.pass(1000);
  }

  const bodies = () => sent.at(-1)!.resources.map(({ name, body }) => `${name} ${body.case}`);

  it('cost less than 1 KiB where one of 1,000 leaves', async () => {
    connect(true);
    await oneLeaves();
    expect(bodies()).to.deep.equal([`${NAME} endpointsDelta`]);
    expect(toBinary(SubscribeResponseSchema, sent.at(-1)!).length).to.be.lessThan(1024);
  });

  it('are not sent to a sidecar that does not understand them', async () => {
    connect(false);
    await oneLeaves();
    expect(bodies()).to.deep.equal([`${NAME} endpoints`]);
  });

  it('are followed by the whole where they are refused, and by no refusal in the counts', async () => {
    connect(true);
    await oneLeaves();
    acknowledge([NAME]);
    expect(bodies()).to.deep.equal([`${NAME} endpoints`]);
    acknowledge();
    expect(publisher.appliedOn(NAME)).to.deep.equal({ want: 1, applied: 1, rejected: [] });
  });
});
