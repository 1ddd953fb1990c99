// The way to the control plane while it rolls: endpoints that never answer, that refuse, and a resolver that is away.
import { EventEmitter } from 'node:events';
import type net from 'node:net';
import { expect } from 'chai';
import { CONNECT_TIMEOUT_MS, type Lookup, MOST_TRIES, NEXT_TRY_MS, RESOLVE_TIMEOUT_MS, Reach } from '#sidecar/control/reach.ts';
import { ManualTimers } from '../../support/manual-timers.ts';

const NAME = 'weft-control-plane.weft-system.svc';

class FakeSocket extends EventEmitter {
  readonly address: string;
  destroyed = false;

  constructor(address: string) {
    super();
    this.address = address;
  }

  destroy(): void {
    this.destroyed = true;
  }

  refuse(): void {
    this.emit('error', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
  }
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
};

describe('the way to the control plane', () => {
  let timers: ManualTimers;
  let sockets: FakeSocket[];

  function setup(lookup: Lookup, host = NAME): Reach {
    timers = new ManualTimers();
    sockets = [];
    const connect = (address: string): net.Socket => {
      const socket = new FakeSocket(address);
      sockets.push(socket);
      return socket as unknown as net.Socket;
    };
    return new Reach({ host, port: 15012, timers, random: () => 0.5, lookup, connect });
  }

  const outcome = (opened: Promise<net.Socket>): Promise<string> =>
    opened.then(
      (socket) => (socket as unknown as FakeSocket).address,
      (error: Error) => error.message,
    );

  it('tries again soon where a connection is not answered, and takes the first that is there', async () => {
    const reach = setup(async () => ['10.96.0.7']);
    const opened = outcome(reach.open());
    await turns();
    expect(sockets).to.have.length(1);
    timers.advance(NEXT_TRY_MS);
    expect(sockets, 'the Service is asked again: it may choose another endpoint').to.have.length(2);
    expect(sockets[0]!.destroyed, 'the first may still be answered').to.equal(false);
    sockets[1]!.emit('connect');
    expect(await opened).to.equal('10.96.0.7');
    expect(sockets.map(({ destroyed }) => destroyed)).to.deep.equal([true, false]);
    expect(timers.nextInMs(), 'nothing is left behind').to.equal(null);
  });

  it('tries again at once, with jitter, where a connection is refused; after a few it is the caller that waits', async () => {
    const reach = setup(async () => ['10.96.0.7']);
    const opened = outcome(reach.open());
    await turns();
    for (let i = 0; i < MOST_TRIES - 1; i++) {
      sockets[i]!.refuse();
      expect(timers.nextInMs()).to.be.within(1, 50);
      timers.advance(timers.nextInMs()!);
      expect(sockets).to.have.length(i + 2);
    }
    sockets.at(-1)!.refuse();
    expect(await opened).to.equal('ECONNREFUSED');
    expect(timers.nextInMs()).to.equal(null);
  });

  it('goes round all addresses of the name', async () => {
    const reach = setup(async () => ['10.0.0.1', '10.0.0.2', 'fd00::3']);
    const opened = outcome(reach.open());
    await turns();
    for (let i = 0; i < 3; i++) timers.advance(NEXT_TRY_MS);
    expect(sockets.map(({ address }) => address)).to.deep.equal(['10.0.0.2', 'fd00::3', '10.0.0.1', '10.0.0.2']);
    sockets[2]!.emit('connect');
    expect(await opened).to.equal('10.0.0.1');
  });

  it('ends all tries together, with the reason', async () => {
    const reach = setup(async () => ['10.96.0.7']);
    const opened = outcome(reach.open());
    await turns();
    timers.advance(CONNECT_TIMEOUT_MS);
    expect(await opened).to.equal('no TCP connection within 1.5 s');
    expect(sockets.map(({ destroyed }) => destroyed)).to.deep.equal(Array(MOST_TRIES).fill(true));
    expect(timers.nextInMs()).to.equal(null);
  });

  it('does not wait for a resolver that is away, holds few of its threads, and goes on with the address it knows', async () => {
    let lookups = 0;
    let isAway = false;
    const reach = setup(() => {
      lookups++;
      return isAway ? new Promise(() => {}) : Promise.resolve(['10.96.0.7']);
    });
    const first = outcome(reach.open());
    await turns();
    sockets[0]!.emit('connect');
    expect(await first).to.equal('10.96.0.7');
    isAway = true;
    for (let i = 0; i < 5; i++) {
      const next = outcome(reach.open());
      timers.advance(RESOLVE_TIMEOUT_MS);
      await turns();
      sockets.at(-1)!.emit('connect');
      expect(await next).to.equal('10.96.0.7');
    }
    expect(lookups).to.equal(3);
  });

  it('says that the name is not resolved where it never was', async () => {
    const reach = setup(() => new Promise(() => {}));
    const outcomes = [outcome(reach.open()), outcome(reach.open()), outcome(reach.open())];
    timers.advance(RESOLVE_TIMEOUT_MS);
    expect(await Promise.all(outcomes)).to.deep.equal([
      'its name was not resolved within 1 s',
      'its name was not resolved within 1 s',
      'its name is not resolved: the resolver does not answer',
    ]);
    const unknown = setup(() => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' })));
    expect(await outcome(unknown.open())).to.equal('ENOTFOUND');
  });

  it('needs no resolver for an address', async () => {
    const reach = setup(() => Promise.reject(new Error('asked')), 'fd00::7');
    const opened = outcome(reach.open());
    await turns();
    sockets[0]!.emit('connect');
    expect(await opened).to.equal('fd00::7');
  });
});
