// The TCP relay: octets equal, half-close each way, resets passed on, bounded memory.
import net from 'node:net';
import { expect } from 'chai';
import { newClock } from '#sidecar/http/clock.ts';
import { ByteStream } from '#sidecar/link/byte-stream.ts';
import { relay } from '#sidecar/tcp/relay.ts';
import { until } from '#test/support/until.ts';

/** Of 64 kB: more than the kernel's buffers take. */
const CHUNKS = 640;

describe('relay', () => {
  const clock = newClock(() => performance.now());
  let front: net.Server;
  let back: net.Server;
  let client: net.Socket;
  let far: net.Socket;
  let near: ByteStream;
  let other: ByteStream;
  let ended: [number, number][];

  async function connected(server: net.Server): Promise<[net.Socket, net.Socket]> {
    const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
    const socket = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    return [socket, await accepted];
  }

  beforeEach(async () => {
    const listen = async (): Promise<net.Server> => {
      const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    };
    [front, back] = [await listen(), await listen()];
    const [c, a] = await connected(front);
    const [b, f] = await connected(back);
    b.pause();
    f.on('error', () => {});
    [client, far] = [c, f];
    [near, other] = [new ByteStream(a, clock), new ByteStream(b, clock)];
    ended = [];
  });

  afterEach(() => {
    for (const socket of [client, far, near.socket, other.socket]) socket.destroy();
    front.close();
    back.close();
  });

  function join(first = Buffer.alloc(0)): void {
    relay(near, other, first, (sent, received) => ended.push([sent, received]));
    near.start();
    other.start();
  }

  function text(socket: net.Socket): () => string {
    let all = '';
    socket.on('data', (octets: Buffer) => {
      all += octets.toString('latin1');
    });
    socket.resume();
    return () => all;
  }

  it('passes octets both ways, the first ones too, and counts them', async () => {
    const [atFar, atClient] = [text(far), text(client)];
    join(Buffer.from('first,'));
    client.write('more');
    far.write('back');
    await until(() => atFar() === 'first,more' && atClient() === 'back', 'all arrived');
    client.end();
    far.end();
    await until(() => ended.length === 1, 'it is over');
    expect(ended).deep.equal([[10, 4]]);
  });

  for (const direction of ['client', 'server']) {
    it(`half-close of the ${direction}: the other side goes on`, async () => {
      join();
      const [first, second] = direction === 'client' ? [client, far] : [far, client];
      const [atSecond, atFirst] = [text(second), text(first)];
      const secondSawEnd = new Promise((resolve) => second.once('end', resolve));
      first.end('last words');
      await secondSawEnd;
      expect(atSecond()).equal('last words');
      for (let i = 0; i < 5; i++) {
        second.write(`${i}`);
        await until(() => atFirst().length === i + 1, 'it arrived');
      }
      expect(ended).length(0);
      second.end();
      await until(() => ended.length === 1, 'it is over');
      expect(atFirst()).equal('01234');
    });
  }

  it('a side that had ended before it was joined ends the other, behind what was read of it', async () => {
    near.start();
    client.end();
    await until(() => near.ended, 'the end was seen');
    const atFar = text(far);
    const saw = new Promise((resolve) => far.once('end', resolve));
    join(Buffer.from('last words'));
    await saw;
    expect(atFar()).equal('last words');
    far.end();
    await until(() => ended.length === 1, 'it is over');
  });

  for (const direction of ['client', 'server']) {
    it(`a reset by the ${direction} is a reset for the other side, not an orderly end`, async () => {
      join();
      const [first, second] = direction === 'client' ? [client, far] : [far, client];
      let orderly = false;
      const failure = new Promise<NodeJS.ErrnoException>((resolve) => second.once('error', resolve));
      second.on('end', () => {
        orderly = true;
      });
      second.resume();
      first.write('half a mess');
      await until(() => ended.length === 0 && second.bytesRead === 11, 'it arrived');
      first.resetAndDestroy();
      expect((await failure).code).equal('ECONNRESET');
      expect(orderly).equal(false);
      expect(ended).length(1);
    });
  }

  it('40 MB to a reader that starts late: equal octets, and little of it in between', async () => {
    join();
    far.pause();
    const chunk = Buffer.alloc(64 * 1024, 'relay');
    let most = 0;
    let written = 0;
    const writing = (async () => {
      for (; written < CHUNKS; written++) {
        if (!client.write(chunk)) await new Promise((resolve) => client.once('drain', resolve));
      }
      client.end();
    })();
    // What the kernel does not take waits at the client.
    await until(() => {
      most = Math.max(most, other.socket.writableLength);
      return near.socket.isPaused();
    }, 'the client is held back');
    expect(written).lessThan(CHUNKS);
    expect(most).within(1, 512 * 1024);
    let got = 0;
    let equal = true;
    const all = new Promise((resolve) => far.once('end', resolve));
    far.on('data', (octets: Buffer) => {
      const at = got % chunk.length;
      const length = Math.min(octets.length, chunk.length - at);
      equal &&= octets.compare(chunk, at, at + length, 0, length) === 0;
      got += octets.length;
      most = Math.max(most, other.socket.writableLength);
    });
    far.resume();
    await writing;
    await all;
    expect([got, equal]).deep.equal([CHUNKS * chunk.length, true]);
    expect(most).most(512 * 1024);
  });
});
