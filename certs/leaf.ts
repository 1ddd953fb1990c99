// A workload's certificate: what stands in it, and nothing that its owner asked for but its key.
import 'reflect-metadata';
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SigningKey } from './authority-chain.ts';

x509.cryptoProvider.set(webcrypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
// SubjectPublicKeyInfo of an uncompressed P-256 point is one fixed prefix and 64 octets (RFC 5480 §2).
const SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const SPKI_LENGTH = SPKI_PREFIX.length + 64;

/**
 * The P-256 public key in a SubjectPublicKeyInfo; null for anything else: another curve, RSA, a point that is not on
 * the curve, another encoding of the same key. Costs microseconds whatever it is given.
 */
export function readPublicKey(spki: Uint8Array): KeyObject | null {
  if (spki.length !== SPKI_LENGTH || !Buffer.from(spki.buffer, spki.byteOffset, SPKI_PREFIX.length).equals(SPKI_PREFIX)) return null;
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

export interface LeafContent {
  readonly identity: string;
  /** The uid of the pod that it is for (core/contract/pod-uid.ts); absent: it names none. */
  readonly podUid?: string;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Name and key of the signer; `keyId`: as its certificate has it, for the one that has none it is worked out. */
  readonly issuer: SigningKey & { readonly subject: x509.Name; readonly keyId?: string };
}

/**
 * Makes an X.509-SVID (X.509-SVID §2-4): a subject that is empty or names the pod, one URI name, critical; not a CA; digital signatures only, for
 * both ends of TLS.
 * @returns DER
 */
export async function makeLeaf(content: LeafContent): Promise<Buffer> {
  const publicKey = await webcrypto.subtle.importKey('spki', content.publicKey.export({ format: 'der', type: 'spki' }), P256, true, [
    'verify',
  ]);
  const { keyId } = content.issuer;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    ...(content.podUid === undefined ? {} : { subject: new x509.Name([{ '2.5.4.5': [{ printableString: content.podUid }] }]) }),
    issuer: content.issuer.subject,
    notBefore: new Date(content.notBeforeMs),
    notAfter: new Date(content.notAfterMs),
    publicKey: publicKey,
    signingKey: content.issuer.key,
    signingAlgorithm: content.issuer.algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: content.identity }], true),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      // Verifiers compare it with the issuer's own, and there is more than one way to make it of a key (RFC 7093).
      keyId === undefined
        ? await x509.AuthorityKeyIdentifierExtension.create(content.issuer.publicKey)
        : new x509.AuthorityKeyIdentifierExtension(keyId),
    ],
  });
  return Buffer.from(certificate.rawData);
}

/** 16 random octets, positive (RFC 5280 §4.1.2.2), as hexadecimal. */
export function newSerialNumber(): string {
  const octets = webcrypto.getRandomValues(new Uint8Array(16));
  octets[0] = (octets[0]! & 0x7f) | 0x40;
  return Buffer.from(octets).toString('hex');
}
