// The control plane's port: client certificates are judged when shown, not demanded; our own is swapped while it runs.
// Pins what we rely on in grpc-js.
import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { ServerRotation } from '#certs/rotation.ts';
import type { PeerVerdict } from '#control-plane/issue/server-credentials.ts';
import { tlsOptionsOf } from '#control-plane/issue/server-credentials.ts';
import { Config, SubscribeRequestSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import { systemTimers } from '#core/program/timers.ts';
import { GrpcConnection } from '#sidecar/control/grpc-call.ts';
import type { GrpcError } from '#sidecar/link/grpc-stream.ts';
import { type Crafted, craft, craftAuthority, type TestAuthority } from '#test/support/craft-certificate.ts';
import { type IssuingServer, startIssuingServer, TRUST_DOMAIN } from '#test/support/issuing-server.ts';
import { SVID_TABLE } from '#test/support/svid-table.ts';

const OPENSSL_REFUSES = 'no valid client certificate';

describe('control-plane/issue/server-credentials', () => {
  let server: IssuingServer;
  let root: TestAuthority;
  let peer: PeerVerdict | null = null;

  before(async () => {
    root = await craftAuthority();
    // The test's own root is trusted besides, so that certificates which no authority of ours would sign can be shown.
    const pem = await Authority.generate({ trustDomain: TRUST_DOMAIN, now: Date.now });
    const authority = await Authority.load({ ...pem, extraRoots: root.pem }, { trustDomain: TRUST_DOMAIN, now: Date.now });
    server = await startIssuingServer({
      authority,
      subscribe: (call, verdict) => {
        peer = verdict;
        call.end();
      },
    });
  });
  after(() => server.close());

  async function connect(shown?: Crafted, session?: Buffer): Promise<tls.TLSSocket> {
    const socket = tls.connect({
      host: server.host,
      port: server.port,
      ca: server.authority.rootsPem(),
      cert: shown?.pem,
      key: shown?.keyPem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
      session,
    });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return socket;
  }

  /** Opens Subscribe with this certificate. @returns what the handler learnt of us */
  async function subscribe(shown: Crafted | null): Promise<PeerVerdict> {
    const secureContext = tls.createSecureContext({ ca: server.authority.rootsPem(), cert: shown?.pem, key: shown?.keyPem });
    const connection = await GrpcConnection.connect({
      host: server.host,
      port: server.port,
      secureContext,
      trustDomain: TRUST_DOMAIN,
      timers: systemTimers,
    });
    peer = null;
    const error = await new Promise<GrpcError>((ended) => {
      const call = connection.bidi(Config.method.subscribe, { message: () => {}, ended });
      call.send(create(SubscribeRequestSchema));
    });
    connection.close();
    expect(error.code).to.equal(0);
    return peer!;
  }

  it('serves a caller without a certificate, and says that there is none', async () => {
    expect(await subscribe(null)).to.deep.equal({ ok: false, reason: OPENSSL_REFUSES });
  });

  it('finds the workload of a certificate and when it ends', async () => {
    const shown = await craft(root, { notAfter: new Date(Math.ceil(Date.now() / 1000) * 1000 + 60_000) });
    const verdict = await subscribe(shown);
    expect(verdict).to.deep.include({ ok: true, workload: { namespace: 'shop', serviceAccount: 'checkout' } });
    expect(verdict.ok && verdict.notAfterMs).to.equal(Date.parse(new X509Certificate(shown.der).validTo));
  });

  it('judges what clients show: OpenSSL or our validator refuses all the bad ones', async () => {
    for (const { name, wish, expect: expected } of SVID_TABLE) {
      const verdict = await subscribe(await craft(root, wish));
      if (expected !== 'ok') {
        expect(verdict.ok, name).to.equal(false);
        if (!verdict.ok) expect(verdict.reason, name).to.be.oneOf([expected, OPENSSL_REFUSES]);
      } else if (!verdict.ok) {
        expect(verdict.reason, name).to.equal('not the identity of a ServiceAccount');
        expect(name).to.match(/path/);
      }
    }
  });

  it('a good certificate of an authority that is not ours is none', async () => {
    expect(await subscribe(await craft(await craftAuthority()))).to.deep.equal({ ok: false, reason: OPENSSL_REFUSES });
  });

  it('speaks TLS 1.3 only and resumes no session, before and after a swap', async () => {
    for (const round of ['first', 'swapped']) {
      const old = tls.connect({ host: server.host, port: server.port, maxVersion: 'TLSv1.2', rejectUnauthorized: false });
      const code = await new Promise((resolve) =>
        old.once('error', (error: NodeJS.ErrnoException) => resolve(error.code)).once('secureConnect', () => resolve('open')),
      );
      old.destroy();
      expect(code, round).to.equal('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
      const first = await connect();
      const session = await new Promise<Buffer>((resolve) => first.once('session', resolve));
      first.destroy();
      const second = await connect(undefined, session);
      expect(second.isSessionReused(), round).to.equal(false);
      second.destroy();
      await server.rotation.start(); // makes a new certificate at once
    }
  });

  it('shows the newest certificate to new connections and leaves open ones alone', async () => {
    const open = await connect();
    const before = open.getPeerCertificate().serialNumber;
    let closed = false;
    open.on('close', () => {
      closed = true;
    });
    await server.rotation.start();
    const fresh = await connect();
    expect(fresh.getPeerCertificate().serialNumber).to.not.equal(before);
    expect(closed).to.equal(false);
    open.destroy();
    fresh.destroy();
  });

  it('wants a rotation that has begun', async () => {
    const rotation = new ServerRotation({ authority: server.authority, timers: systemTimers, random: Math.random });
    expect(() => tlsOptionsOf(rotation)).to.throw('started');
  });
});
