// Strange ClientHellos that claim to be of the mesh: each is refused or served, and the next peer is served as ever.
import net from 'node:net';
import tls from 'node:tls';
import { expect } from 'chai';
import { ALPN_HTTP2, ALPN_TCP } from '#core/contract/names.ts';
import { type Leaf, newSecureContext } from '#sidecar/control/leaf.ts';
import { newClock } from '#sidecar/http/clock.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { acceptTls } from '#sidecar/link/tls.ts';
import { craft, craftAuthority } from '../../support/craft-certificate.ts';
import { until } from '../../support/until.ts';

const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/payment';

/** Octets with their length in front, in so many octets. */
function sized(size: 1 | 2 | 3, ...parts: Buffer[]): Buffer {
  const octets = Buffer.concat(parts);
  const length = Buffer.alloc(size);
  length.writeUIntBE(octets.length, 0, size);
  return Buffer.concat([length, octets]);
}

function extension(type: number, ...body: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), sized(2, ...body)]);
}

/** A ClientHello of TLS 1.3 (RFC 8446 §4.1.2) with any names in it. */
function hello(serverNames: readonly Buffer[], protocols: readonly Buffer[]): Buffer {
  const extensions = [
    extension(43, sized(1, Buffer.from('0304', 'hex'))), // supported_versions
    extension(10, sized(2, Buffer.from('001d', 'hex'))), // supported_groups: x25519
    extension(13, sized(2, Buffer.from('0403', 'hex'))), // signature_algorithms: ecdsa_secp256r1_sha256
    extension(51, sized(2, Buffer.from('001d', 'hex'), sized(2, Buffer.alloc(32, 9)))), // key_share
    extension(16, sized(2, ...protocols.map((protocol) => sized(1, protocol)))),
  ];
  if (serverNames.length > 0) extensions.push(extension(0, sized(2, ...serverNames.flatMap((name) => [Buffer.from([0]), sized(2, name)]))));
  const body = Buffer.concat([
    Buffer.from('0303', 'hex'),
    Buffer.alloc(32, 7),
    sized(1),
    sized(2, Buffer.from('1301', 'hex')),
    sized(1, Buffer.from([0])),
    sized(2, ...extensions),
  ]);
  return Buffer.concat([Buffer.from('160301', 'hex'), sized(2, Buffer.concat([Buffer.from([1]), sized(3, body)]))]);
}

describe('strange ClientHellos', () => {
  const clock = newClock(() => performance.now());
  const outcomes: string[] = [];
  let context: tls.SecureContext;
  let listener: Listener;

  before(async () => {
    const root = await craftAuthority();
    const { key, der } = await craft(root, { uris: [IDENTITY] });
    context = newSecureContext([root.der], { key, chain: [der] } as unknown as Leaf);
    const credentials = { tlsServerContext: () => context, trustDomain: () => 'cluster.local' };
    listener = new Listener(
      { address: '127.0.0.1', port: 0 },
      {
        onAccept: (_stream, ready) => ready(),
        assumed: () => null,
        onProtocol: (stream, protocol, first) => {
          if (protocol !== 'tls') {
            outcomes.push(protocol);
            return stream.destroy();
          }
          acceptTls(
            stream,
            first,
            credentials,
            clock,
            Date.now,
            (secure, { identity }) => {
              outcomes.push(identity);
              secure.destroy();
            },
            (reason) => outcomes.push(reason),
          );
        },
      },
      clock,
    );
    await listener.listen();
  });
  after(() => listener.close());

  const MESH = Buffer.from(ALPN_HTTP2);
  const CASES: readonly [what: string, octets: Buffer][] = [
    ['an ordinary one', hello([], [MESH])],
    ['an empty server name', hello([Buffer.alloc(0)], [MESH])],
    ['a server name of 300 octets', hello([Buffer.alloc(300, 'a')], [MESH])],
    ['a server name with NUL', hello([Buffer.from('a\0b')], [MESH])],
    ['an IP address as server name', hello([Buffer.from('10.0.0.1')], [MESH])],
    ['two server names', hello([Buffer.from('a'), Buffer.from('b')], [MESH])],
    ['100 protocols, ours the last', hello([], [...Array.from({ length: 99 }, (_, i) => Buffer.from(`p${i}`)), MESH])],
    ['a protocol of no octets', hello([], [Buffer.alloc(0), MESH])],
    [
      'our protocol a thousand times',
      hello(
        [],
        Array.from({ length: 1000 }, () => Buffer.from(ALPN_TCP)),
      ),
    ],
  ];

  for (const [what, octets] of CASES) {
    it(`${what}: ends with a reason, and the next peer is served`, async () => {
      outcomes.length = 0;
      const peer = net.connect({ host: '127.0.0.1', port: listener.port }, () => peer.write(octets));
      peer.on('error', () => {});
      // Whatever it answers, be it an alert: more is not said.
      peer.once('data', () => peer.destroy());
      await until(() => outcomes.length === 1, 'the outcome is known');
      peer.destroy();
      expect(outcomes[0]).to.match(/^(closed during the handshake|ECONNRESET|EPIPE|ERR_SSL_\w+)$/);

      const good = tls.connect({
        host: '127.0.0.1',
        port: listener.port,
        secureContext: context,
        ALPNProtocols: [ALPN_HTTP2],
        rejectUnauthorized: false,
      });
      good.on('error', () => {});
      await until(() => outcomes.length === 2, 'the next peer is served');
      good.destroy();
      expect(outcomes[1]).to.equal(IDENTITY);
    });
  }
});
