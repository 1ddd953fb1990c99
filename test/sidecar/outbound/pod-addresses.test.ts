// Who is at an address: asked once, told of changes, forgotten when idle.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { type PodAddress, PodAddressSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { MOST_LAST_ANSWERS } from '#sidecar/outbound/last-answers.ts';
import { MOST_ADDRESSES, PodAddresses } from '#sidecar/outbound/pod-addresses.ts';

const POD = (address: string, identity: string) => create(PodAddressSchema, { address, identity, pod: 'shop/a' });

function setup() {
  const asked: string[] = [];
  const dropped: string[] = [];
  const changes: [string, string | null][] = [];
  const answers = { connected: true };
  const pods = new PodAddresses(
    { ask: (address) => asked.push(address), drop: (addresses) => dropped.push(...addresses), connected: () => answers.connected },
    (address, answer) => changes.push([address, answer?.identity ?? null]),
  );
  return { asked, dropped, changes, pods, answers };
}

describe('PodAddresses', () => {
  it('asks once for many, answers all of them, and then at once', () => {
    const { asked, pods } = setup();
    const answers: (PodAddress | null)[] = [];
    pods.ask('10.0.0.1', 0, (answer) => answers.push(answer));
    const stop = pods.ask('10.0.0.1', 0, () => answers.push(null));
    stop();
    expect(asked).to.deep.equal(['10.0.0.1']);
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

  it('has a bound: idle ones make room, and where all are busy the newest waits until one is idle', () => {
    const { pods, asked } = setup();
    for (let i = 0; i < MOST_ADDRESSES; i++) pods.ask(`10.0.0.${i}`, 0, () => {});
    const answers: string[] = [];
    pods.ask('one too many', 1, ({ identity }) => answers.push(identity));
    const stop = pods.ask('given up', 1, () => answers.push('given up'));
    const done = Array.from({ length: MOST_ADDRESSES }, (_, i) => pods.use(`10.0.0.${i}`, () => {}));
    for (let i = 0; i < MOST_ADDRESSES; i++) pods.take(POD(`10.0.0.${i}`, 'x'));
    pods.tick(2);
    expect(asked).to.have.length(MOST_ADDRESSES);
    stop();
    for (const end of done.splice(1)) end(3);
    expect(asked.slice(MOST_ADDRESSES)).to.deep.equal(['one too many']);
    pods.take(POD('one too many', 'y'));
    expect(answers).to.deep.equal(['y']);
    expect(pods.all()).to.have.length(MOST_ADDRESSES);
  });

  it('remembers of a forgotten address what was known, and answers with it while the control plane is away', () => {
    const { pods, answers, asked } = setup();
    const seen: string[] = [];
    const ask = (address: string): unknown => pods.ask(address, 200_000, ({ identity }) => seen.push(identity));
    for (const [address, identity] of [
      ['10.0.0.1', 'spiffe://a'],
      ['10.0.0.2', ''],
      ['10.0.0.3', 'spiffe://c'],
    ]) {
      pods.ask(address, 0, () => {});
      pods.take(POD(address, identity));
    }
    pods.tick(120_000);
    expect(pods.all()).to.deep.equal([]);
    ask('10.0.0.3');
    expect(seen, 'the control plane is asked while it is there').to.deep.equal([]);
    answers.connected = false;
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.4']) ask(address);
    expect(seen).to.deep.equal(['spiffe://a', '']);
    expect(asked.slice(3), 'and asked again when it is back').to.deep.equal(['10.0.0.3', '10.0.0.1', '10.0.0.2', '10.0.0.4']);
    pods.take(POD('10.0.0.4', 'spiffe://d'));
    expect(seen.at(-1)).to.equal('spiffe://d');
  });

  it('forgets nothing that was known while the control plane is away, however long it was idle', () => {
    const { pods, answers, changes, dropped } = setup();
    for (let i = 0; i < 500; i++) {
      pods.ask(`10.0.0.${i}`, 0, () => {});
      pods.take(POD(`10.0.0.${i}`, 'spiffe://a'));
    }
    answers.connected = false;
    for (let nowMs = 1000; nowMs <= 12 * 3600_000; nowMs += 60_000) pods.tick(nowMs);
    expect([changes, dropped]).to.deep.equal([[], []]);
    expect(pods.all(), 'the next stream asks about them').to.have.length(500);
    answers.connected = true;
    pods.tick(12 * 3600_000);
    expect(pods.all()).to.have.length(0);
    answers.connected = false;
    const seen: string[] = [];
    pods.ask('10.0.0.7', 12 * 3600_000, ({ identity }) => seen.push(identity));
    expect(seen, 'it came back for a moment only').to.deep.equal(['spiffe://a']);
  });

  it('goes on with what was known where the control plane leaves between question and answer', () => {
    const { pods, answers } = setup();
    const seen: string[] = [];
    for (const address of ['10.0.0.1', '10.0.0.2']) {
      pods.ask(address, 0, () => {});
      pods.take(POD(address, address === '10.0.0.1' ? 'spiffe://a' : ''));
    }
    pods.tick(60_000);
    expect(pods.all()).to.deep.equal([]);
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3'])
      pods.ask(address, 60_000, ({ identity }) => seen.push(`${address} ${identity}`));
    answers.connected = false;
    pods.tick(60_001);
    expect(seen, 'what was never known still waits').to.deep.equal(['10.0.0.1 spiffe://a', '10.0.0.2 ']);
    pods.take(POD('10.0.0.2', 'spiffe://b'));
    pods.ask('10.0.0.2', 60_002, ({ identity }) => seen.push(identity));
    expect(seen.at(-1), 'and is corrected when it is back').to.equal('spiffe://b');
  });

  it('goes on with the identity that was known where the control plane is silent, but not in plaintext', () => {
    const { pods } = setup();
    const seen: string[] = [];
    for (const address of ['10.0.0.1', '10.0.0.2']) {
      pods.ask(address, 0, () => {});
      pods.take(POD(address, address === '10.0.0.1' ? 'spiffe://a' : ''));
    }
    pods.tick(60_000);
    for (const address of ['10.0.0.1', '10.0.0.2']) pods.ask(address, 60_000, ({ identity }) => seen.push(`${address} ${identity}`));
    pods.tick(60_100);
    expect(seen, 'it may only be slow').to.deep.equal([]);
    pods.tick(61_000);
    expect(seen).to.deep.equal(['10.0.0.1 spiffe://a']);
  });

  it('keeps so many last answers of pods, whatever else was called', () => {
    const { pods, answers } = setup();
    const call = (address: string, identity: string): void => {
      pods.ask(address, 0, () => {});
      pods.take(POD(address, identity));
      pods.tick(60_000);
    };
    for (let i = 0; i <= MOST_LAST_ANSWERS; i++) call(`10.0.0.${i}`, 'x');
    for (let i = 0; i <= MOST_LAST_ANSWERS; i++) call(`198.51.100.${i}`, '');
    answers.connected = false;
    const asked = [0, 1, MOST_LAST_ANSWERS].flatMap((i) => [`10.0.0.${i}`, `198.51.100.${i}`]);
    const answered: string[] = [];
    for (const address of asked) pods.ask(address, 60_000, () => answered.push(address));
    pods.tick(61_000);
    expect(answered, 'the one beyond the bound is not known').to.deep.equal(asked.slice(2));
  });
});
