// mTLS between sidecars, live and in both directions: what each end makes of the other's certificate, and certificates
// that change.
import type net from 'node:net';
import tls from 'node:tls';
import { expect } from 'chai';
import { ALPN_HTTP2, ALPN_TCP } from '#core/contract/names.ts';
import { type Leaf, newSecureContext } from '#sidecar/control/leaf.ts';
import { newClock } from '#sidecar/http/clock.ts';
import { ByteStream } from '#sidecar/link/byte-stream.ts';
import { dial } from '#sidecar/link/dial.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { acceptTls, type TlsPeer } from '#sidecar/link/tls.ts';
import { CHECKOUT, type Crafted, craft, craftAuthority, type TestAuthority } from '../../support/craft-certificate.ts';
import { SVID_TABLE } from '../../support/svid-table.ts';

const PAYMENT = 'spiffe://cluster.local/ns/shop/sa/payment';
const clock = newClock(() => performance.now());

/** Credentials that a test changes at will. */
class TestCredentials {
  context: tls.SecureContext | null;
  readonly expired: () => string;

  constructor(shown: Crafted, roots: readonly TestAuthority[], expired = '') {
    this.expired = () => expired;
    this.context = newSecureContext(
      roots.map(({ der }) => der),
      { key: shown.key, chain: [shown.der] } as unknown as Leaf,
    );
  }

  tlsServerContext = (): tls.SecureContext | null => this.context;
  tlsClientContext = (): tls.SecureContext | null => this.context;
  trustDomain = (): string => 'cluster.local';
}

describe('mTLS between sidecars', () => {
  let root: TestAuthority;
  let payment: TestCredentials;
  const cleanup: (() => void)[] = [];

  before(async () => {
    root = await craftAuthority();
    payment = new TestCredentials(await craft(root, { uris: [PAYMENT] }), [root]);
  });
  afterEach(() => {
    for (const undo of cleanup.splice(0)) undo();
  });

  /** An inbound port; `next()` is what became of the next connection. Octets that arrive are sent back. */
  async function inbound(credentials: TestCredentials): Promise<{ port: number; next: () => Promise<TlsPeer | string> }> {
    const outcomes: (TlsPeer | string)[] = [];
    const waiting: ((outcome: TlsPeer | string) => void)[] = [];
    const put = (outcome: TlsPeer | string): void => {
      const first = waiting.shift();
      if (first === undefined) outcomes.push(outcome);
      else first(outcome);
    };
    const listener = new Listener(
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
            (secure, peer) => {
              secure.onBytes = (buf, length) => secure.write(Buffer.from(buf.subarray(0, length)), () => {});
              secure.start();
              cleanup.push(() => secure.destroy());
              put(peer);
            },
            (reason, detail) => put(detail === undefined ? reason : `${reason}: ${detail}`),
          ),
      },
      clock,
    );
    await listener.listen();
    cleanup.push(() => listener.close());
    return {
      port: listener.port,
      next: () => {
        const outcome = outcomes.shift();
        return outcome === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(outcome);
      },
    };
  }

  /** A server that shows a certificate and takes any client; not ours. */
  async function foreignServer(shown: Crafted): Promise<number> {
    const server = tls.createServer({
      cert: shown.pem,
      key: shown.keyPem,
      ALPNProtocols: [ALPN_HTTP2],
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.on('secureConnection', (socket) => socket.on('error', () => {}));
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanup.push(() => server.close());
    return (server.address() as net.AddressInfo).port;
  }

  /** A client that shows a certificate and takes any server; not ours. */
  function foreignClient(port: number, shown: Crafted | null, options: tls.ConnectionOptions = {}): tls.TLSSocket {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      cert: shown?.pem,
      key: shown?.keyPem,
      rejectUnauthorized: false,
      ALPNProtocols: [ALPN_HTTP2],
      ...options,
    });
    socket.on('error', () => {});
    cleanup.push(() => socket.destroy());
    return socket;
  }

  const dialled = (port: number, credentials: TestCredentials, identity = PAYMENT): Promise<ByteStream | string> =>
    new Promise((resolve) =>
      dial({ address: '127.0.0.1', port, identity }, ALPN_HTTP2, credentials, clock, Date.now, {
        onOpen: (stream) => {
          cleanup.push(() => stream.destroy());
          resolve(stream);
        },
        onError: (error, detail) => resolve(`${error}: ${detail}`),
      }),
    );

  it('opens between two good certificates; each end knows the other', async () => {
    const checkout = new TestCredentials(await craft(root), [root]);
    const { port, next } = await inbound(payment);
    expect(await dialled(port, checkout)).to.be.instanceOf(ByteStream);
    expect(await next()).to.deep.include({ identity: CHECKOUT, alpn: ALPN_HTTP2 });
  });

  it('takes no bad client certificate inbound', async () => {
    const { port, next } = await inbound(payment);
    for (const { name, wish, expect: expected } of SVID_TABLE) {
      const client = foreignClient(port, await craft(root, wish));
      const outcome = await next();
      client.destroy();
      expect(typeof outcome, `${name}: ${JSON.stringify(outcome)}`).to.equal(expected === 'ok' ? 'object' : 'string');
    }
  });

  it('takes no bad server certificate outbound', async () => {
    const checkout = new TestCredentials(await craft(root), [root]);
    for (const { name, wish, expect: expected } of SVID_TABLE) {
      const port = await foreignServer(await craft(root, wish));
      const outcome = await dialled(port, checkout, CHECKOUT);
      if (outcome instanceof ByteStream) {
        expect(expected, name).to.equal('ok');
      } else {
        expect(outcome, name).to.match(/^(identity_mismatch|certificate_expired): /);
        if (expected === 'ok') expect(outcome, name).to.include('identity mismatch'); // good ids of others
      }
    }
  });

  it('refuses a good certificate of another ServiceAccount outbound, and names it', async () => {
    const checkout = new TestCredentials(await craft(root), [root]);
    const { port } = await inbound(payment);
    expect(await dialled(port, checkout, 'spiffe://cluster.local/ns/shop/sa/ledger')).to.match(
      /^identity_mismatch: .*certificate is not that of spiffe:\/\/cluster\.local\/ns\/shop\/sa\/ledger: identity mismatch$/,
    );
  });

  it('refuses expired certificates and those of another authority, and names why', async () => {
    const stranger = await craftAuthority('CN=stranger');
    const expired = await craft(root, { notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() - 3_600_000) });
    const { port, next } = await inbound(payment);
    foreignClient(port, expired);
    expect(await next()).to.match(/^CERT_HAS_EXPIRED: its certificate expired at \d{4}-/);
    foreignClient(port, await craft(stranger));
    expect(await next()).to.be.oneOf(['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']);
    foreignClient(port, null);
    expect(await next()).to.be.oneOf(['UNABLE_TO_GET_ISSUER_CERT', 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE']);
    const checkout = new TestCredentials(await craft(root), [root]);
    expect(await dialled(await foreignServer(expired), checkout, CHECKOUT)).to.match(
      /^certificate_expired: 127\.0\.0\.1:\d+: its certificate expired at \d{4}-\d\d-\d\dT[\d:]{8}\.000Z$/,
    );
    expect(await dialled(await foreignServer(await craft(stranger)), checkout, CHECKOUT)).to.include('certificate refused: UNABLE_TO_');
  });

  it('says on both sides that the own certificate has expired, and dials nobody with it', async () => {
    const ended = await craft(root, {
      uris: [PAYMENT],
      notBefore: new Date(Date.now() - 7_200_000),
      notAfter: new Date(Date.now() - 1000),
    });
    const late = new TestCredentials(ended, [root], 'certificate expired at 2026-11-30T00:00:00.000Z');
    expect(await dialled((await inbound(payment)).port, late)).to.match(
      /^own_certificate_expired: .*: this sidecar's certificate expired at 2026-11-30T00:00:00\.000Z$/,
    );
    const { port, next } = await inbound(late);
    expect(await dialled(port, new TestCredentials(await craft(root), [root]))).to.match(
      /^certificate_expired: .*its certificate expired at 2/,
    );
    expect(await next()).to.equal("own certificate expired: this sidecar's certificate expired at 2026-11-30T00:00:00.000Z");
  });

  it('refuses older TLS and any ALPN but ours', async () => {
    const { port, next } = await inbound(payment);
    const good = await craft(root);
    foreignClient(port, good, { maxVersion: 'TLSv1.2' });
    expect(await next()).to.equal('ERR_SSL_UNSUPPORTED_PROTOCOL');
    foreignClient(port, good, { ALPNProtocols: ['h2'] });
    expect(await next()).to.be.oneOf(['ERR_SSL_NO_APPLICATION_PROTOCOL', 'wrong ALPN']);
    foreignClient(port, good, { ALPNProtocols: undefined });
    expect(await next()).to.equal('wrong ALPN');
    foreignClient(port, good, { ALPNProtocols: [ALPN_TCP] });
    expect(await next()).to.include({ alpn: ALPN_TCP });
  });

  it('resumes no session: each connection is judged anew', async () => {
    const { port, next } = await inbound(payment);
    const good = await craft(root);
    const first = foreignClient(port, good);
    await next();
    const session = await new Promise<Buffer>((resolve) => {
      first.once('session', resolve);
      first.write('x');
    });
    const second = foreignClient(port, good, { session });
    expect(await next()).to.be.an('object');
    expect(second.isSessionReused()).to.equal(false);
    // And without the certificate a session is worth nothing.
    foreignClient(port, null, { session });
    expect(await next()).to.be.a('string');
  });

  it('works across a change of root, between old and new, while both are trusted', async () => {
    const next = await craftAuthority('CN=next root');
    const [oldLeaf, newLeaf] = [await craft(root), await craft(next)];
    const states = {
      old: new TestCredentials(oldLeaf, [root]),
      both: new TestCredentials(oldLeaf, [root, next]),
      switched: new TestCredentials(newLeaf, [root, next]),
      done: new TestCredentials(newLeaf, [next]),
    };
    const understand: readonly [keyof typeof states, keyof typeof states, boolean][] = [
      ['old', 'both', true],
      ['both', 'both', true],
      ['both', 'switched', true],
      ['switched', 'switched', true],
      ['switched', 'done', true],
      ['old', 'done', false],
      ['both', 'done', false],
    ];
    for (const [a, b, works] of understand) {
      for (const [client, server] of [
        [a, b],
        [b, a],
      ] as const) {
        const { port, next: outcome } = await inbound(states[server]);
        const stream = await dialled(port, states[client], CHECKOUT);
        // In TLS 1.3 the client is done first: a server's refusal comes after it.
        const opened = stream instanceof ByteStream && typeof (await outcome()) === 'object';
        expect(opened, `${client} → ${server}`).to.equal(works);
      }
    }
  });

  it('leaves open connections alone when certificates are swapped', async () => {
    const credentials = new TestCredentials(await craft(root, { uris: [PAYMENT] }), [root]);
    const checkout = new TestCredentials(await craft(root), [root]);
    const { port, next } = await inbound(credentials);
    const open = (await dialled(port, checkout)) as ByteStream;
    await next();
    credentials.context = new TestCredentials(await craft(root, { uris: [PAYMENT] }), [root]).context;
    const echo = new Promise<string>((resolve) => {
      open.onBytes = (buf, length) => resolve(buf.toString('latin1', 0, length));
    });
    open.start();
    open.write(Buffer.from('still here'), () => {});
    expect(await echo).to.equal('still here');
    expect(await dialled(port, checkout)).to.be.instanceOf(ByteStream);
  });
});
