// From an authority's certificate to a root that others trust: what a person or a tool has put into the Secret is put in
// order and tried, before anything is signed with it.
import { createPrivateKey, type KeyObject, webcrypto, type X509Certificate } from 'node:crypto';
import { duplexPair } from 'node:stream';
import tls from 'node:tls';

/** More certificates than these are no chain, and cost time at each handshake. */
const LONGEST_CHAIN = 8;
const TRIAL_WITHIN_MS = 5000;
const TIME_ERRORS = ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'];

/** How a key signs. */
export interface SigningKey {
  readonly key: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
  readonly algorithm: { readonly name: 'ECDSA' | 'RSASSA-PKCS1-v1_5'; readonly hash: string };
}

interface KeyAlgorithm {
  readonly import: webcrypto.EcKeyImportParams | webcrypto.RsaHashedImportParams;
  readonly hash: string;
}

const CURVES: Readonly<Record<string, KeyAlgorithm>> = {
  prime256v1: { import: { name: 'ECDSA', namedCurve: 'P-256' }, hash: 'SHA-256' },
  secp384r1: { import: { name: 'ECDSA', namedCurve: 'P-384' }, hash: 'SHA-384' },
  secp521r1: { import: { name: 'ECDSA', namedCurve: 'P-521' }, hash: 'SHA-512' },
};
const RSA: KeyAlgorithm = { import: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, hash: 'SHA-256' };
const LEAST_RSA_BITS = 2048;

/**
 * Reads the key of a certificate: PKCS#8, SEC1 ("EC PRIVATE KEY") or PKCS#1 ("RSA PRIVATE KEY") in PEM.
 * @throws Error with what is wrong with it
 */
export async function readSigningKey(pem: string, certificate: X509Certificate): Promise<SigningKey> {
  const key = createPrivateKey(pem);
  const algorithm = algorithmOf(key);
  if (!certificate.checkPrivateKey(key)) throw new Error('it is of another certificate');
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
  const spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
  return {
    key: await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm.import, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', spki, algorithm.import, true, ['verify']),
    algorithm: { name: algorithm.import.name as SigningKey['algorithm']['name'], hash: algorithm.hash },
  };
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): KeyAlgorithm {
  if (asymmetricKeyType === 'rsa') {
    const bits = asymmetricKeyDetails?.modulusLength ?? 0;
    if (bits < LEAST_RSA_BITS) throw new Error(`an RSA key needs ${LEAST_RSA_BITS} bits, it has ${bits}`);
    return RSA;
  }
  const curve = CURVES[asymmetricKeyDetails?.namedCurve ?? ''];
  if (curve !== undefined) return curve;
  throw new Error(`it must be ECDSA (P-256, P-384 or P-521) or RSA, not ${asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType}`);
}

export interface AuthorityChain {
  /** The signing certificate first, then those between it and the root; none where it is the root itself. */
  readonly intermediates: readonly X509Certificate[];
  readonly root: X509Certificate;
  /** Unix ms: the last of them begins, the first of them ends. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * The way from the signing certificate to a root.
 * @param others in any order: the rest of tls.crt, ca.crt, further roots
 * @throws Error with the link that is missing
 */
export function chainTo(signing: X509Certificate, others: readonly X509Certificate[]): AuthorityChain {
  const path = [signing];
  for (let last = signing; !isSelfSigned(last); ) {
    const issuer = others.find((one) => !path.includes(one) && one.ca && last.checkIssued(one) && last.verify(one.publicKey));
    if (issuer === undefined)
      throw new Error(
        `the certificate of its issuer, ${distinguishedName(last.issuer)}, is missing: tls.crt and ca.crt together must lead to a root`,
      );
    if (path.push(issuer) > LONGEST_CHAIN) throw new Error(`its chain has more than ${LONGEST_CHAIN} certificates`);
    last = issuer;
  }
  const root = path.at(-1)!;
  return {
    intermediates: path.slice(0, -1),
    root,
    notBeforeMs: Math.max(...path.map(({ validFrom }) => Date.parse(validFrom))),
    notAfterMs: Math.min(...path.map(({ validTo }) => Date.parse(validTo))),
  };
}

export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** A distinguished name on one line. */
export function distinguishedName(name: string | undefined): string {
  return name === undefined || name === '' ? '(no name)' : name.replaceAll('\n', ', ');
}

/**
 * Shakes hands with itself, as two sidecars would: path lengths, key usages and name constraints are judged by what
 * will judge them.
 * @param pem certificate chain, key and roots
 * @throws Error with OpenSSL's reason
 */
export function tryHandshake(pem: { readonly cert: string; readonly key: string; readonly ca: string }): Promise<void> {
  const [near, far] = duplexPair();
  const context = tls.createSecureContext({ ...pem, minVersion: 'TLSv1.3' });
  const options = { secureContext: context, requestCert: true, rejectUnauthorized: true };
  return new Promise((resolve, reject) => {
    const server = new tls.TLSSocket(far, { ...options, isServer: true });
    const client = tls.connect({ ...options, socket: near, checkServerIdentity: () => undefined });
    const timer = setTimeout(() => end(new Error('no TLS handshake within 5 s')), TRIAL_WITHIN_MS);
    const end = (error: NodeJS.ErrnoException | null): void => {
      clearTimeout(timer);
      for (const socket of [server, client]) {
        socket.removeAllListeners('error').on('error', () => {});
        socket.destroy();
      }
      // The caller's clock is not OpenSSL's: validity is judged by the caller.
      if (error === null || TIME_ERRORS.includes(error.code ?? '')) resolve();
      else reject(error);
    };
    server.on('error', end);
    client.on('error', end);
    client.on('secureConnect', () => end(null));
  });
}
