// Issue over a real gRPC connection: bad tokens, bad requests, an authority that is not loaded, and floods.
import 'reflect-metadata';
import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import tls from 'node:tls';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import type { Authority } from '#certs/authority.ts';
import { BAD_TOKENS_BURST, BAD_TOKENS_PER_MINUTE } from '#control-plane/issue/service.ts';
import { TokenIssuer, type VerifyToken } from '#control-plane/issue/token.ts';
import { Certificates, IssueRequestSchema, type IssueResponse } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { validateSvid } from '#core/contract/svid.ts';
import { createLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { GrpcConnection } from '#sidecar/control/grpc-call.ts';
import { newIssueRequest } from '#sidecar/control/leaf.ts';
import { GrpcError, STATUS } from '#sidecar/link/grpc-stream.ts';
import {
  type IssuingServer,
  type IssuingServerWish,
  recordingLogger,
  startIssuingServer,
  TRUST_DOMAIN,
} from '#test/support/issuing-server.ts';
import { until } from '#test/support/until.ts';

const INVALID_ARGUMENT = 3;
const HOUR_MS = 3600_000;

describe('control-plane/issue/service', () => {
  let server: IssuingServer;
  let connection: GrpcConnection;
  const { log, lines } = recordingLogger();

  async function open(options: IssuingServerWish = {}): Promise<void> {
    server = await startIssuingServer({ ...options, issue: { log, perMinute: 60_000, burst: 1000, ...options.issue } });
    connection = await connect();
  }

  function connect(): Promise<GrpcConnection> {
    const secureContext = tls.createSecureContext({ ca: server.authority.rootsPem() });
    return GrpcConnection.connect({
      host: server.host,
      port: server.port,
      secureContext,
      trustDomain: TRUST_DOMAIN,
      timers: systemTimers,
    });
  }

  afterEach(() => {
    connection.close();
    server.close();
    lines.length = 0;
  });

  const goodToken = (): string => server.tokens.sign({ namespace: 'shop', serviceAccount: 'checkout', lifetimeMs: HOUR_MS });

  function ask(fields: MessageInitShape<typeof IssueRequestSchema>, metadata: Record<string, string>): Promise<IssueResponse> {
    return connection.unary(Certificates.method.issue, create(IssueRequestSchema, fields), metadata, 5000);
  }

  async function refusal(fields: MessageInitShape<typeof IssueRequestSchema>, token = goodToken()): Promise<GrpcError> {
    try {
      await ask(fields, { authorization: `Bearer ${token}` });
    } catch (error) {
      expect(error).to.be.instanceOf(GrpcError);
      return error as GrpcError;
    }
    throw new Error('a certificate was issued');
  }

  function goodRequest() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return newIssueRequest(privateKey, publicKey.export({ format: 'der', type: 'spki' }), 0);
  }

  it('issues for the identity of the token, and says what was issued', async () => {
    await open({ leafLifetimeMs: HOUR_MS });
    const answer = await ask(goodRequest(), { authorization: `bearer ${goodToken()}` });
    const verdict = validateSvid(Buffer.from(answer.chain[0]!), {
      trustDomain: TRUST_DOMAIN,
      nowMs: Date.now(),
      expectedIdentity: answer.identity,
    });
    expect(verdict).to.deep.equal({
      ok: true,
      identity: 'spiffe://cluster.local/ns/shop/sa/checkout',
      notBeforeMs: Number(answer.notBeforeMs),
      notAfterMs: Number(answer.notAfterMs),
    });
    expect(answer.roots.map((root) => Buffer.from(root))).to.deep.equal(server.authority.roots());
    expect(server.issue.counts).to.include({ issued: 1 });
  });

  it('refuses every bad token with the same words and names the reason in the log', async () => {
    let exists = true;
    const tokens = new TokenIssuer({ now: Date.now, podExists: () => exists });
    const late = new TokenIssuer({ now: () => Date.now() - 2 * HOUR_MS });
    await open({ tokens });
    const options = { namespace: 'shop', serviceAccount: 'checkout', pod: 'checkout-1', lifetimeMs: HOUR_MS };
    const [head, , signature] = tokens.sign(options).split('.') as [string, string, string];
    const forgedBody = Buffer.from(JSON.stringify({ sub: 'system:serviceaccount:shop:admin' })).toString('base64url');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    const deleted = tokens.sign(options);
    const cases: readonly [string, Record<string, string>, string][] = [
      ['missing', {}, 'no token'],
      ['not bearer', { authorization: 'Basic abc' }, 'not one bearer token'],
      ['garbage', { authorization: 'Bearer garbage' }, 'not a token'],
      ['forged body', { authorization: `Bearer ${head}.${forgedBody}.${signature}` }, 'signed by another key'],
      ['no algorithm', { authorization: `Bearer ${none}.${forgedBody}.AA` }, 'not an ES256 token'],
      ['another signer, expired', { authorization: `Bearer ${late.sign(options)}` }, 'signed by another key'],
      [
        'wrong audience',
        { authorization: `Bearer ${tokens.sign({ ...options, audience: 'https://kubernetes.default.svc' })}` },
        'not for the audience weft',
      ],
      ['expired', { authorization: `Bearer ${tokens.sign({ ...options, lifetimeMs: 0 })}` }, 'expired'],
      ['a user', { authorization: `Bearer ${tokens.sign({ ...options, namespace: 'a:b' })}` }, 'not of a ServiceAccount'],
      ['huge', { authorization: `Bearer ${'x'.repeat(17_000)}` }, 'token too large'],
      ['of a deleted pod', { authorization: `Bearer ${deleted}` }, 'its pod is gone'],
    ];
    for (const [name, metadata, reason] of cases) {
      exists = name !== 'of a deleted pod';
      lines.length = 0;
      const error = await ask(goodRequest(), metadata).then(
        () => expect.fail(`${name}: issued`),
        (failure: GrpcError) => failure,
      );
      expect(error.code, name).to.equal(STATUS.unauthenticated);
      expect(error.message, name).to.equal('a valid ServiceAccount token is needed');
      expect(
        lines.map(({ fields }) => fields.reason),
        name,
      ).to.deep.equal([reason]);
    }
    expect(server.issue.counts).to.include({ issued: 0, unauthenticated: cases.length });
  });

  it('writes no token into the log, whatever becomes of it', async () => {
    let verify: VerifyToken = (token) => server.tokens.verify(token);
    const written: string[] = [];
    const real = createLogger({
      level: 'debug',
      format: 'json',
      component: 'test',
      write: (line) => void written.push(line),
      now: Date.now,
    });
    await open({ issue: { verifyToken: (token) => verify(token), log: real } });
    const token = goodToken();
    await ask(goodRequest(), { authorization: `Bearer ${token}` });
    await refusal({}, token);
    await refusal(goodRequest(), `${token}x`);
    await refusal(goodRequest(), token.repeat(40));
    verify = async () => ({ error: 'no API server', unavailable: true });
    await refusal(goodRequest(), token);
    expect(written).to.have.length(5);
    for (const part of token.split('.')) expect(written.join('\n')).to.not.include(part);
  });

  it('looks at nothing of a caller whose token is bad', async () => {
    await open();
    expect((await refusal({ csr: randomBytes(20_000) }, 'bad')).code).to.equal(STATUS.unauthenticated);
  });

  it('refuses bad keys and proofs, each with its reason', async () => {
    await open();
    const good = goodRequest();
    const spki = (type: 'rsa' | 'ec', option: object): Buffer =>
      generateKeyPairSync(type as 'ec', option as { namedCurve: string }).publicKey.export({ format: 'der', type: 'spki' });
    const offCurve = Buffer.from(good.publicKey);
    offCurve[offCurve.length - 1] ^= 1;
    const other = goodRequest();
    const cases: readonly [string, MessageInitShape<typeof IssueRequestSchema>, string][] = [
      ['nothing', {}, 'public_key is missing'],
      ['RSA', { ...good, publicKey: spki('rsa', { modulusLength: 1024 }) }, 'public_key must be ECDSA P-256'],
      ['P-384', { ...good, publicKey: spki('ec', { namedCurve: 'P-384' }) }, 'public_key must be ECDSA P-256'],
      ['P-224', { ...good, publicKey: spki('ec', { namedCurve: 'secp224r1' }) }, 'public_key must be ECDSA P-256'],
      ['not on the curve', { ...good, publicKey: offCurve }, 'public_key must be ECDSA P-256'],
      ['a key of 20 kB', { ...good, publicKey: Buffer.alloc(20_000, 0x30) }, 'public_key is larger than 4096 octets'],
      ['short nonce', { ...good, nonce: good.nonce.subarray(0, 15) }, 'nonce must have 16 to 64 octets'],
      ['another nonce', { ...good, nonce: other.nonce }, 'proof does not verify'],
      ['another proof', { ...good, proof: other.proof }, 'proof does not verify'],
      ["another's key", { ...good, publicKey: other.publicKey }, 'proof does not verify'],
      ['no proof', { ...good, proof: Buffer.alloc(0) }, 'proof does not verify'],
      ['both forms', { ...good, csr: Buffer.from([0x30, 0]) }, 'either csr or public_key, nonce and proof'],
    ];
    for (const [name, fields, reason] of cases) {
      const error = await refusal(fields);
      expect([error.code, error.message], name).to.deep.equal([INVALID_ARGUMENT, reason]);
    }
    expect(server.issue.counts).to.include({ issued: 0, invalid: cases.length });
  });

  it('takes only the key of a PKCS#10 request, and refuses bad ones', async () => {
    await open();
    const greedy = await request({
      name: 'CN=admin',
      extensions: [
        new x509.BasicConstraintsExtension(true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://cluster.local/ns/shop/sa/admin' }]),
      ],
    });
    const answer = await ask({ csr: greedy }, { authorization: `Bearer ${goodToken()}` });
    const verdict = validateSvid(Buffer.from(answer.chain[0]!), { trustDomain: TRUST_DOMAIN, nowMs: Date.now() });
    expect(verdict).to.include({ ok: true, identity: 'spiffe://cluster.local/ns/shop/sa/checkout' });

    const tampered = Buffer.from(greedy);
    tampered[tampered.indexOf('admin')] ^= 1;
    const cases: readonly [string, Buffer, string][] = [
      ['tampered', tampered, 'the signature of the request does not verify'],
      ['P-384', await request({}, { name: 'ECDSA', namedCurve: 'P-384' }), 'the key of the request must be ECDSA P-256'],
      ['RSA-16384', await rsaRequest(16_384), 'the key of the request must be ECDSA P-256'],
      ['garbage', randomBytes(300), 'the request is not PKCS#10'],
      ['nested 8000 deep', Buffer.alloc(16_000, Buffer.from([0x30, 0x80])), 'the request is not PKCS#10'],
      ['20 kB', Buffer.alloc(20_000), 'csr is larger than 16384 octets'],
    ];
    for (const [name, csr, reason] of cases) {
      const error = await refusal({ csr });
      expect([error.code, error.message], name).to.deep.equal([INVALID_ARGUMENT, reason]);
    }
  });

  it('clamps the lifetime that is asked for to what the authority grants', async () => {
    await open();
    for (const [askedSeconds, grantedMs] of [
      [20, 20_000],
      [10 ** 9, 24 * HOUR_MS],
      [0, 12 * HOUR_MS],
    ] as const) {
      const answer = await ask({ ...goodRequest(), lifetimeSeconds: BigInt(askedSeconds) }, { authorization: `Bearer ${goodToken()}` });
      expect(Number(answer.notAfterMs) - Date.now()).to.be.within(grantedMs - 10_000, grantedMs);
    }
  });

  it('is unavailable before the authority is loaded and while tokens cannot be verified', async () => {
    let authority: Authority | null = null;
    let tokens: TokenIssuer | null = null;
    await open({
      issue: {
        authority: () => authority,
        verifyToken: async (token) => (tokens === null ? { error: 'no API server', unavailable: true } : tokens.verify(token)),
      },
    });
    expect((await refusal(goodRequest())).code).to.equal(STATUS.unavailable);
    tokens = server.tokens;
    expect((await refusal(goodRequest())).code).to.equal(STATUS.unavailable);
    authority = server.authority;
    expect((await ask(goodRequest(), { authorization: `Bearer ${goodToken()}` })).identity).to.equal(
      'spiffe://cluster.local/ns/shop/sa/checkout',
    );
    expect(server.issue.counts).to.include({ issued: 1, unavailable: 2 });
  });

  it('limits one pod and no other', async () => {
    let nowMs = 1_000_000;
    await open({ issue: { perMinute: 6, burst: 3, now: () => nowMs } });
    const tokenOf = (uid: string): string =>
      server.tokens.sign({ namespace: 'shop', serviceAccount: 'checkout', pod: uid, uid, lifetimeMs: HOUR_MS });
    const outcome = async (uid: string): Promise<number> =>
      ask(goodRequest(), { authorization: `Bearer ${tokenOf(uid)}` }).then(
        () => STATUS.ok,
        (error: GrpcError) => error.code,
      );
    for (let i = 0; i < 3; i++) expect(await outcome('a')).to.equal(STATUS.ok);
    expect(await outcome('a')).to.equal(STATUS.resourceExhausted);
    expect(await outcome('b')).to.equal(STATUS.ok);
    nowMs += 10_000; // six a minute: one more
    expect(await outcome('a')).to.equal(STATUS.ok);
    expect(await outcome('a')).to.equal(STATUS.resourceExhausted);
  });

  it('does not ask about a good token that is shown without measure', async () => {
    let verified = 0;
    const verifyToken: VerifyToken = async (token) => {
      verified++;
      return { namespace: 'shop', serviceAccount: token, pod: token, uid: token };
    };
    await open({ issue: { verifyToken, perMinute: 6, burst: 3, now: () => 1_000_000 } });
    const shown = await Promise.all(
      Array.from({ length: 50 }, () => ask(goodRequest(), { authorization: 'Bearer flood' }).catch((e: GrpcError) => e)),
    );
    expect(shown.filter((one) => !(one instanceof GrpcError))).to.have.length(3);
    expect(verified).to.equal(3);
    expect((await ask(goodRequest(), { authorization: 'Bearer other' })).chain).to.have.length(1);
  });

  it('looks at no more bad tokens of an address where they come all at once', async () => {
    let verified = 0;
    const judged: (() => void)[] = [];
    const verifyToken: VerifyToken = async () => {
      verified++;
      await new Promise<void>((resolve) => judged.push(resolve));
      return { error: 'bad' };
    };
    await open({ issue: { verifyToken, now: () => 1_000_000 } });
    // One connection carries only so many calls at once.
    const more = await Promise.all(Array.from({ length: 18 }, connect));
    const all = Array.from({ length: BAD_TOKENS_BURST + 40 }, (_, i) =>
      more[i % 18]!.unary(
        Certificates.method.issue,
        create(IssueRequestSchema, goodRequest()),
        { authorization: `Bearer bad-${i}` },
        5000,
      ).catch(() => {}),
    );
    await until(() => server.issue.counts.limited === 40, 'the rest is refused at once');
    expect(verified).to.equal(BAD_TOKENS_BURST);
    for (const judge of judged) judge();
    await Promise.all(all);
    for (const one of more) one.close();
  });

  it('writes no more lines about callers without a token than about bad ones', async () => {
    await open({ issue: { now: () => 1_000_000 } });
    const codes: number[] = [];
    for (let i = 0; i < BAD_TOKENS_BURST + 20; i++) {
      codes.push(
        await ask(goodRequest(), {}).then(
          () => STATUS.ok,
          (error: GrpcError) => error.code,
        ),
      );
    }
    expect(codes.filter((code) => code === STATUS.unauthenticated)).to.have.length(BAD_TOKENS_BURST);
    expect(codes.at(-1)).to.equal(STATUS.resourceExhausted);
    expect(lines.filter(({ level }) => level === 'warn')).to.have.length(BAD_TOKENS_BURST);
  });

  it('stops looking at the tokens of an address that shows bad ones, for a while', async () => {
    let nowMs = 1_000_000;
    let verified = 0;
    const verifyToken: VerifyToken = async (token) => {
      verified++;
      return token === 'good' ? { namespace: 'shop', serviceAccount: 'checkout' } : { error: 'bad' };
    };
    await open({ issue: { verifyToken, now: () => nowMs } });
    for (let i = 0; i < BAD_TOKENS_BURST; i++) expect((await refusal(goodRequest(), `bad-${i}`)).code).to.equal(STATUS.unauthenticated);
    for (let i = 0; i < 20; i++) expect((await refusal(goodRequest(), 'bad')).code).to.equal(STATUS.resourceExhausted);
    expect(verified).to.equal(BAD_TOKENS_BURST);
    nowMs += 60_000 / BAD_TOKENS_PER_MINUTE;
    // One more is looked at; a good one costs nothing.
    for (let i = 0; i < 3; i++) expect((await ask(goodRequest(), { authorization: 'Bearer good' })).chain).to.have.length(1);
    expect((await refusal(goodRequest(), 'bad')).code).to.equal(STATUS.unauthenticated);
    expect((await refusal(goodRequest(), 'bad')).code).to.equal(STATUS.resourceExhausted);
  });
});

async function request(
  options: { name?: string; extensions?: x509.Extension[] },
  algorithm: webcrypto.EcKeyGenParams = { name: 'ECDSA', namedCurve: 'P-256' },
): Promise<Buffer> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    ...options,
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  return Buffer.from(made.rawData);
}

/** A request whose key is a huge RSA modulus that was never generated: reading it must not cost arithmetic. */
async function rsaRequest(bits: number): Promise<Buffer> {
  const keys = await webcrypto.subtle.generateKey(
    { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
    true,
    ['sign', 'verify'],
  );
  const jwk = { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(bits / 8, 0xff).toString('base64url'), alg: 'RS256' };
  const publicKey = await webcrypto.subtle.importKey('jwk', jwk, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, true, ['verify']);
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    keys: { privateKey: keys.privateKey, publicKey },
    signingAlgorithm: { name: 'RSASSA-PKCS1-v1_5' },
  });
  return Buffer.from(made.rawData);
}
