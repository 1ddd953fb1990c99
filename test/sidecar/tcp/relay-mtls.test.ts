// TCP between sidecars: application → outbound relay → mTLS → inbound relay → application. Half-close and resets must
// survive both hops.
import net from 'node:net';
import type tls from 'node:tls';
import { expect } from 'chai';
import { ALPN_TCP } from '#core/contract/names.ts';
import { type Leaf, newSecureContext } from '#sidecar/control/leaf.ts';
import { newClock } from '#sidecar/http/clock.ts';
import type { ByteStream } from '#sidecar/link/byte-stream.ts';
import { dial } from '#sidecar/link/dial.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { acceptTls } from '#sidecar/link/tls.ts';
import { relay } from '#sidecar/tcp/relay.ts';
import { craft, craftAuthority } from '#test/support/craft-certificate.ts';
import { until } from '#test/support/until.ts';

const PAYMENT = 'spiffe://cluster.local/ns/shop/sa/payment';

describe('relay over mTLS', () => {
  const clock = newClock(() => performance.now());
  let context: tls.SecureContext;
  let application: net.Server;
  let inbound: Listener;
  let outbound: Listener;
  let done: string[];
  const sockets: net.Socket[] = [];

  before(async () => {
    const root = await craftAuthority();
    const { key, der } = await craft(root, { uris: [PAYMENT] });
    context = newSecureContext([root.der], { key, chain: [der] } as unknown as Leaf);
  });

  beforeEach(async () => {
    done = [];
    const credentials = { tlsServerContext: () => context, tlsClientContext: () => context, trustDomain: () => 'cluster.local' };
    const join = (from: ByteStream, target: { address: string; port: number; identity: string }, first: Buffer, name: string): void => {
      from.pause();
      dial(target, ALPN_TCP, credentials, clock, Date.now, {
        onOpen: (to) => {
          relay(from, to, first, (sent, received) => done.push(`${name} ${sent}/${received}`));
          to.start();
          from.resume();
        },
        onError: () => from.destroy(),
      });
    };
    application = net.createServer({ allowHalfOpen: true });
    application.on('connection', (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    const at = { address: '127.0.0.1', port: (application.address() as net.AddressInfo).port, identity: '' };
    inbound = new Listener(
      { address: '127.0.0.1', port: 0 },
      {
        onAccept: (_stream, ready) => ready(),
        assumed: () => null,
        onProtocol: (stream, _protocol, first) =>
          acceptTls(
            stream,
            first,
            credentials,
            clock,
            Date.now,
            (secure) => {
              join(secure, at, Buffer.alloc(0), 'inbound');
              secure.start();
            },
            (reason) => done.push(reason),
          ),
      },
      clock,
    );
    await inbound.listen();
    outbound = new Listener(
      { address: '127.0.0.1', port: 0 },
      {
        onAccept: (_stream, ready) => ready(),
        assumed: () => 'tcp',
        onProtocol: (stream, _protocol, first) =>
          join(stream, { address: '127.0.0.1', port: inbound.port, identity: PAYMENT }, first, 'outbound'),
      },
      clock,
    );
    await outbound.listen();
  });

  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    inbound.close();
    outbound.close();
    application.close();
  });

  /** A client of the outbound side that has said hello at once, and the application's socket that got it. */
  async function connect(): Promise<[net.Socket, net.Socket]> {
    const client = net.connect({ port: outbound.port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => {});
    sockets.push(client);
    client.write('hello');
    await until(() => sockets.length === 2 && sockets[1].bytesRead === 5, 'the application has it');
    sockets[1].resume();
    client.resume();
    return [client, sockets[1]];
  }

  it('what was sent before anything was connected arrives; half-close each way is passed on', async () => {
    const [client, far] = await connect();
    const farSawEnd = new Promise((resolve) => far.once('end', resolve));
    client.end();
    await farSawEnd;
    const answer = new Promise<Buffer>((resolve) => client.once('data', resolve));
    const clientSawEnd = new Promise((resolve) => client.once('end', resolve));
    far.end('answer');
    expect((await answer).toString()).equal('answer');
    await clientSawEnd;
    await until(() => done.length === 2, 'both relays are over');
    expect(done.sort()).deep.equal(['inbound 5/6', 'outbound 5/6']);
  });

  for (const who of ['client', 'application']) {
    it(`a reset by the ${who} arrives as a reset behind both hops`, async () => {
      const [client, far] = await connect();
      const [first, second] = who === 'client' ? [client, far] : [far, client];
      let orderly = false;
      second.on('end', () => {
        orderly = true;
      });
      const failure = new Promise<NodeJS.ErrnoException>((resolve) => second.once('error', resolve));
      first.resetAndDestroy();
      expect((await failure).code).equal('ECONNRESET');
      expect(orderly).equal(false);
    });
  }
});
