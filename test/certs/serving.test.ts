// Serving certificates: what stands in them, and that TLS clients take them for the names they hold (server.test.ts of
// the injector does so live).
import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import { AuthorityError, toPem } from '#certs/authority.ts';
import { checkServingAuthority, generateServingAuthority, issueServing, notAfterOf } from '#certs/serving.ts';

const NOW = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 3600_000;

describe('serving certificates', () => {
  it('are signed by an authority of their own, for DNS names', async () => {
    const authority = await generateServingAuthority('a.svc', NOW, 365 * DAY_MS);
    expect(checkServingAuthority(authority)).to.deep.equal({ notBeforeMs: NOW - 120_000, notAfterMs: NOW + 365 * DAY_MS });
    const leaf = await issueServing(authority, ['a.svc', 'a.svc.cluster.local'], NOW, DAY_MS);
    const parsed = new X509Certificate(leaf.certificate);
    const root = new X509Certificate(authority.certificate);
    expect(parsed.verify(root.publicKey)).to.equal(true);
    expect(parsed.checkIssued(root)).to.equal(true);
    expect(parsed.subjectAltName).to.equal('DNS:a.svc, DNS:a.svc.cluster.local');
    expect(parsed.ca).to.equal(false);
    expect(root.ca).to.equal(true);
    expect(parsed.keyUsage).to.deep.equal(['1.3.6.1.5.5.7.3.1']);
    expect(leaf.notAfterMs).to.equal(NOW + DAY_MS);
    expect(notAfterOf(leaf.certificate)).to.equal(leaf.notAfterMs);
    expect(parsed.checkPrivateKey((await import('node:crypto')).createPrivateKey(leaf.key))).to.equal(true);
  });

  it('have authorities of different names, so that two can be trusted at once', async () => {
    const [one, two] = await Promise.all([NOW, NOW + 1000].map((at) => generateServingAuthority('a.svc', at, DAY_MS)));
    expect(new X509Certificate(one.certificate).subject).to.not.equal(new X509Certificate(two.certificate).subject);
  });

  it('never outlive their authority, and are not made by one that has ended', async () => {
    const authority = await generateServingAuthority('a.svc', NOW, DAY_MS);
    expect((await issueServing(authority, ['a.svc'], NOW + DAY_MS / 2, DAY_MS)).notAfterMs).to.equal(NOW + DAY_MS);
    const late = await issueServing(authority, ['a.svc'], NOW + DAY_MS, DAY_MS).catch((error: Error) => error);
    expect(late).to.be.instanceOf(AuthorityError);
  });

  it('refuse what is no authority', async () => {
    const authority = await generateServingAuthority('a.svc', NOW, DAY_MS);
    const other = await generateServingAuthority('a.svc', NOW, DAY_MS);
    const leaf = await issueServing(authority, ['a.svc'], NOW, DAY_MS);
    for (const pair of [leaf, { ...authority, key: other.key }, { certificate: '', key: '' }, { ...authority, key: 'x' }])
      expect(() => checkServingAuthority(pair)).to.throw(AuthorityError);
    expect(notAfterOf('x')).to.equal(0);
  });

  it('refuse an authority with a key that they cannot sign with, such as one that a person has put there', async () => {
    for (const algorithm of [
      { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
      { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 },
    ]) {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.createSelfSigned({
        name: 'CN=other',
        keys,
        signingAlgorithm: algorithm,
        notBefore: new Date(NOW),
        notAfter: new Date(NOW + DAY_MS),
        extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
      });
      const key = toPem('PRIVATE KEY', Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)));
      expect(() => checkServingAuthority({ certificate: certificate.toString('pem'), key })).to.throw(AuthorityError, 'P-256');
    }
  });
});
