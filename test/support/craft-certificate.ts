// Makes certificates for tests, good and bad ones: any names, any extensions, any validity, signed by any authority.
import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SHA256 = { name: 'ECDSA', hash: 'SHA-256' } as const;

export interface TestAuthority {
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly der: Buffer;
  readonly pem: string;
}

export interface CertificateWish {
  /** URI names. Default: the checkout of the shop. */
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly sanCritical?: boolean;
  readonly noSan?: boolean;
  readonly subject?: string;
  /** undefined: BasicConstraints with cA false; null: no such extension. */
  readonly ca?: boolean | null;
  /** undefined: digitalSignature; null: no such extension. */
  readonly keyUsage?: x509.KeyUsageFlags | null;
  readonly keyUsageCritical?: boolean;
  /** undefined: both ends of TLS; null: no such extension. */
  readonly extendedKeyUsage?: readonly string[] | null;
  readonly more?: readonly x509.Extension[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export interface Crafted {
  readonly der: Buffer;
  readonly pem: string;
  readonly key: KeyObject;
  readonly keyPem: string;
}

export const CHECKOUT = 'spiffe://cluster.local/ns/shop/sa/checkout';
export const EKU = x509.ExtendedKeyUsage;
export const KU = x509.KeyUsageFlags;

export async function craftAuthority(name = 'CN=test root'): Promise<TestAuthority> {
  const keys = (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name,
    notBefore: new Date(Date.now() - 48 * 3600_000),
    notAfter: new Date(Date.now() + 48 * 3600_000),
    keys,
    signingAlgorithm: SHA256,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(KU.keyCertSign | KU.cRLSign, true)],
  });
  return { name, keys, der: Buffer.from(certificate.rawData), pem: certificate.toString('pem') };
}

/** A certificate that passes, but for what is wished otherwise. */
export async function craft(authority: TestAuthority, wish: CertificateWish = {}): Promise<Crafted> {
  const keys = (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const names: x509.JsonGeneralName[] = [
    ...(wish.uris ?? [CHECKOUT]).map((value) => ({ type: 'url', value }) as const),
    ...(wish.dns ?? []).map((value) => ({ type: 'dns', value }) as const),
  ];
  const extensions: x509.Extension[] = [...(wish.more ?? [])];
  if (!wish.noSan) extensions.push(new x509.SubjectAlternativeNameExtension(names, wish.sanCritical ?? true));
  if (wish.ca !== null) extensions.push(new x509.BasicConstraintsExtension(wish.ca ?? false, undefined, true));
  if (wish.keyUsage !== null)
    extensions.push(new x509.KeyUsagesExtension(wish.keyUsage ?? KU.digitalSignature, wish.keyUsageCritical ?? true));
  if (wish.extendedKeyUsage !== null)
    extensions.push(new x509.ExtendedKeyUsageExtension([...(wish.extendedKeyUsage ?? [EKU.serverAuth, EKU.clientAuth])]));
  const certificate = await x509.X509CertificateGenerator.create({
    subject: wish.subject,
    issuer: authority.name,
    notBefore: wish.notBefore ?? new Date(Date.now() - 120_000),
    notAfter: wish.notAfter ?? new Date(Date.now() + 3600_000),
    publicKey: keys.publicKey,
    signingKey: authority.keys.privateKey,
    signingAlgorithm: SHA256,
    extensions,
  });
  const key = KeyObject.from(keys.privateKey);
  return {
    der: Buffer.from(certificate.rawData),
    pem: certificate.toString('pem'),
    key,
    keyPem: key.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
}
