// Who is at an address: asked once, told of changes, forgotten when idle.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { type PodAddress, PodAddressSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { MOST_ADDRESSES, PodAddresses } from '#sidecar/outbound/pod-addresses.ts';

const POD = (address: string, identity: string) => create(PodAddressSchema, { address, identity, pod: 'shop/a' });

function setup() {
  const asked: string[] = [];
  const dropped: string[] = [];
  const changes: [string, string | null][] = [];
  const pods = new PodAddresses(
    { ask: (address) => asked.push(address), drop: (addresses) => dropped.push(...addresses) },
    (address, answer) => changes.push([address, answer?.identity ?? null]),
  );
  return { asked, dropped, changes, pods };
}

describe('PodAddresses', () => {
  it('asks once for many, answers all of them, and then at once', () => {
    const { asked, pods } = setup();
    const answers: (PodAddress | null)[] = [];
    pods.ask('10.0.0.1', 0, (answer) => answers.push(answer));
    const stop = pods.ask('10.0.0.1', 0, () => answers.push(null));
    stop();
    expect(asked).to.deep.equal(['10.0.0.1']);
    expect(pods.knows('10.0.0.1')).to.equal(false);
    pods.take(POD('10.0.0.1', 'spiffe://a'));
    pods.ask('10.0.0.1', 0, (answer) => answers.push(answer));
    expect(answers.map((answer) => answer?.identity)).to.deep.equal(['spiffe://a', 'spiffe://a']);
    expect(asked).to.have.length(1);
  });

  it('reports that another pod has an address, and only then', () => {
    const { pods, changes } = setup();
    pods.ask('10.0.0.1', 0, () => {});
    pods.take(POD('10.0.0.1', 'spiffe://a'));
    pods.take(POD('10.0.0.1', 'spiffe://a'));
    expect(changes).to.deep.equal([]);
    pods.take(POD('10.0.0.1', ''));
    expect(changes).to.deep.equal([['10.0.0.1', '']]);
    const bypassed = [{ from: 9999, to: 9999 }];
    for (let i = 0; i < 2; i++) pods.take(create(PodAddressSchema, { address: '10.0.0.1', identity: '', pod: 'shop/b', bypassed }));
    expect(changes.splice(1)).to.deep.equal([['10.0.0.1', '']]);
    pods.take(POD('10.0.0.9', 'never asked for'));
    expect(pods.all()).to.deep.equal(['10.0.0.1']);
  });

  it('notifies connections that another pod has their address, until they have ended', () => {
    const { pods } = setup();
    let gone = 0;
    pods.ask('10.0.0.1', 0, () => {});
    pods.take(POD('10.0.0.1', 'spiffe://a'));
    const done = pods.use('10.0.0.1', () => gone++);
    pods.take(POD('10.0.0.1', 'spiffe://a'));
    expect(gone).to.equal(0);
    pods.take(POD('10.0.0.1', ''));
    expect(gone).to.equal(1);
    done(1);
    pods.take(POD('10.0.0.1', 'spiffe://b'));
    expect(gone).to.equal(1);
  });

  it('does not forget an address while it is asked for again and again', () => {
    const { pods, asked } = setup();
    for (let nowMs = 0; nowMs < 600_000; nowMs += 30_000) {
      pods.ask('198.51.100.1', nowMs, () => {});
      pods.take(POD('198.51.100.1', ''));
      pods.tick(nowMs + 1000);
    }
    expect(asked).to.deep.equal(['198.51.100.1']);
  });

  it('forgets what is idle, but nothing that is in use or asked for', () => {
    const { pods, dropped } = setup();
    for (const address of ['used', 'idle', 'waiting']) pods.ask(address, 0, () => {});
    for (const address of ['used', 'idle']) pods.take(POD(address, 'x'));
    const done = pods.use('used', () => {});
    pods.tick(120_000);
    expect(dropped).to.deep.equal(['idle']);
    done(120_000);
    pods.tick(121_000);
    expect(dropped).to.deep.equal(['idle']);
    pods.tick(200_000);
    expect(dropped).to.deep.equal(['idle', 'used']);
    expect(pods.all()).to.deep.equal(['waiting']);
  });

  it('has a bound: idle ones make room, and where all are busy the newest passes unasked', () => {
    const { pods, asked } = setup();
    for (let i = 0; i < MOST_ADDRESSES; i++) pods.ask(`10.0.0.${i}`, 0, () => {});
    let answer: PodAddress | null | undefined;
    pods.ask('too many', 1, (of) => (answer = of));
    expect(answer).to.equal(null);
    for (let i = 0; i < MOST_ADDRESSES; i++) pods.take(POD(`10.0.0.${i}`, 'x'));
    pods.ask('room again', 2, () => {});
    expect(asked.at(-1)).to.equal('room again');
    expect(pods.all()).to.deep.equal(['room again']);
  });
});
