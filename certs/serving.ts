// Certificates for HTTPS servers that the API server calls: a small authority of their own, and leaves with DNS names.
// Kept apart from the mesh's authority: what the API server trusts for a webhook must not vouch for workloads, nor the
// other way round.
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { AuthorityError, BACKDATE_MS, toPem } from './authority.ts';
import { newSerialNumber } from './leaf.ts';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** PEM; the key is PKCS#8 and a secret. */
export interface ServingPair {
  readonly certificate: string;
  readonly key: string;
}

export interface ServingLeaf extends ServingPair {
  /** Unix ms. */
  readonly notAfterMs: number;
}

/** Makes a self-signed authority for serving certificates. @param name its common name */
export async function generateServingAuthority(name: string, nowMs: number, lifetimeMs: number): Promise<ServingPair> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    // A name of its own for each: while two are trusted, a verifier picks the right one by it.
    name: [{ O: ['weft'] }, { CN: [`${name} ${new Date(nowMs).toISOString()}`] }],
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + lifetimeMs),
    keys,
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyPem(keys.privateKey) };
}

/**
 * Makes a key and has the authority sign a certificate for these DNS names. It never outlives the authority.
 * @throws AuthorityError when the authority is none, or has expired
 */
export async function issueServing(
  authority: ServingPair,
  names: readonly string[],
  nowMs: number,
  lifetimeMs: number,
): Promise<ServingLeaf> {
  const { notAfterMs: end } = checkServingAuthority(authority);
  if (end <= nowMs) throw new AuthorityError(`the serving authority expired at ${new Date(end).toISOString()}`);
  const notAfterMs = Math.floor(Math.min(nowMs + lifetimeMs, end) / 1000) * 1000;
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: [{ CN: [names[0].slice(0, 64)] }],
    issuer: issuer.subjectName,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(notAfterMs),
    publicKey: keys.publicKey,
    signingKey: await webcrypto.subtle.importKey('pkcs8', derOf(authority.key), P256, false, ['sign']),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value }))),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export()),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyPem(keys.privateKey), notAfterMs };
}

/**
 * Whether certificate and key are those of an authority.
 * @returns its lifetime, Unix ms
 * @throws AuthorityError saying what they are instead
 */
export function checkServingAuthority({ certificate, key }: ServingPair): { notBeforeMs: number; notAfterMs: number } {
  try {
    const parsed = new X509Certificate(certificate);
    if (!parsed.ca) throw new Error('the certificate is not that of an authority');
    const own = createPrivateKey(key);
    // Otherwise it would fail only when it is to sign, where no failure is expected.
    if (own.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('the key is not one of the curve P-256');
    if (!createPublicKey(own).equals(parsed.publicKey)) throw new Error('the key is of another certificate');
    return { notBeforeMs: Date.parse(parsed.validFrom), notAfterMs: Date.parse(parsed.validTo) };
  } catch (error) {
    throw new AuthorityError(`the serving authority cannot be used: ${(error as Error).message}`);
  }
}

/** The end of a certificate, Unix ms; 0 when it is none. */
export function notAfterOf(certificate: string): number {
  try {
    return Date.parse(new X509Certificate(certificate).validTo);
  } catch {
    return 0;
  }
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  return toPem('PRIVATE KEY', Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)));
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
}
