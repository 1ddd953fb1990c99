// From an authority's certificate to a root that others trust: what a person or a tool has put into the Secret is put in
// order and tried, before anything is signed with it.
import { createPrivateKey, type KeyObject, webcrypto, type X509Certificate } from 'node:crypto';
import { duplexPair } from 'node:stream';
import tls from 'node:tls';

/** More certificates than these are no chain, and cost time at each handshake. */
const LONGEST_CHAIN = 8;
/** In all of tls.crt, ca.crt and further roots: each pair is looked at, and each sidecar gets the roots. */
const MOST_CERTIFICATES = 64;
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
 * The way from the signing certificate to a root. Where there are several (a root that was renewed, an issuer that was
 * cross-signed), one that is valid now is better than one that is not, then the one that ends last.
 * @param others in any order: the rest of tls.crt, ca.crt, further roots
 * @param nowMs Unix ms
 * @throws Error with the link that is missing
 */
export function chainTo(signing: X509Certificate, others: readonly X509Certificate[], nowMs: number): AuthorityChain {
  const known = [...new Map([...others, signing].map((one) => [one.fingerprint256, one])).values()];
  if (known.length > MOST_CERTIFICATES) throw new Error(`there are more than ${MOST_CERTIFICATES} certificates`);
  const issuers = issuersAmong(known);
  const valid = new Set(known.filter(({ validFrom, validTo }) => Date.parse(validFrom) <= nowMs && Date.parse(validTo) > nowMs));
  const way = lastingWay(signing, issuers, valid) ?? lastingWay(signing, issuers, new Set(known));
  if (way === undefined) throw new Error(missingLink(signing, issuers));
  return {
    intermediates: way.path.slice(0, -1),
    root: way.path.at(-1)!,
    notBeforeMs: Math.max(...way.path.map(({ validFrom }) => Date.parse(validFrom))),
    notAfterMs: way.endMs,
  };
}

type Issuers = ReadonlyMap<X509Certificate, readonly X509Certificate[]>;

/** Who has signed whom. A self-signed one is where a way ends, whoever else has signed its key. */
function issuersAmong(known: readonly X509Certificate[]): Issuers {
  return new Map(
    known.map((one) => {
      if (isSelfSigned(one)) return [one, []];
      return [one, known.filter((issuer) => issuer !== one && issuer.ca && one.checkIssued(issuer) && one.verify(issuer.publicKey))];
    }),
  );
}

interface Way {
  readonly path: readonly X509Certificate[];
  /** Unix ms: the first of them ends. */
  readonly endMs: number;
}

/**
 * The way to a root that ends last. In round n the ways of n certificates are known, each made of one of the round
 * before, so that the work is bounded however many ways there are.
 */
function lastingWay(signing: X509Certificate, issuers: Issuers, usable: ReadonlySet<X509Certificate>): Way | undefined {
  const best = new Map<X509Certificate, Way>();
  for (const one of usable) if (isSelfSigned(one)) best.set(one, { path: [one], endMs: Date.parse(one.validTo) });
  for (let length = 2; length <= LONGEST_CHAIN; length++) {
    const before = new Map(best);
    for (const one of usable) {
      for (const issuer of issuers.get(one)!) {
        const above = before.get(issuer);
        if (above === undefined || above.path.includes(one)) continue;
        const endMs = Math.min(above.endMs, Date.parse(one.validTo));
        if (endMs > (best.get(one)?.endMs ?? -Infinity)) best.set(one, { path: [one, ...above.path], endMs });
      }
    }
  }
  return best.get(signing);
}

function missingLink(signing: X509Certificate, issuers: Issuers): string {
  const reached = new Set([signing]);
  for (const one of reached) for (const issuer of issuers.get(one)!) reached.add(issuer);
  const last = [...reached].find((one) => issuers.get(one)!.length === 0 && !isSelfSigned(one));
  if (last === undefined) return `its chain has more than ${LONGEST_CHAIN} certificates`;
  return `the certificate of its issuer, ${distinguishedName(last.issuer)}, is missing: tls.crt and ca.crt together must lead to a root`;
}

export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** A distinguished name on one line. */
export function distinguishedName(name: string | undefined): string {
  return name === undefined || name === '' ? '(no name)' : name.replaceAll('\n', ', ');
}

/**
 * Shakes hands with itself, as two sidecars would, and judges both ends: path lengths, key usages and name constraints
 * are judged by what will judge them.
 * @param pem certificate chain, key and roots
 * @param nowMs Unix ms
 * @throws Error with OpenSSL's reason
 */
export function tryHandshake(pem: { readonly cert: string; readonly key: string; readonly ca: string }, nowMs: number): Promise<void> {
  const [near, far] = duplexPair();
  const secureContext = tls.createSecureContext({ ...pem, minVersion: 'TLSv1.3' });
  const options = { secureContext, requestCert: true, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const server = new tls.TLSSocket(far, { ...options, isServer: true });
    const client = tls.connect({ ...options, socket: near, checkServerIdentity: () => undefined });
    const timer = setTimeout(() => end(new Error('no TLS handshake within 5 s')), TRIAL_WITHIN_MS);
    const judged = new Set<tls.TLSSocket>();
    const end = (error?: Error): void => {
      clearTimeout(timer);
      for (const socket of [server, client]) {
        socket.removeAllListeners('error').on('error', () => {});
        socket.destroy();
      }
      if (error === undefined) resolve();
      else reject(error);
    };
    const judge = (socket: tls.TLSSocket): void => {
      const refusal = refusalOf(socket, nowMs);
      if (refusal !== undefined) end(refusal);
      else if (judged.add(socket).size === 2) end();
    };
    server.on('error', end);
    client.on('error', end);
    // A TLSSocket of our own leaves it to us to look at what the other end has shown.
    server.on('secure', () => judge(server));
    client.on('secureConnect', () => judge(client));
  });
}

/** What OpenSSL says of the other end's certificate. */
function refusalOf(socket: tls.TLSSocket, nowMs: number): Error | undefined {
  const error = (socket as unknown as { _handle: { verifyError(): NodeJS.ErrnoException | null } })._handle.verifyError();
  if (error === null) return undefined;
  if (!TIME_ERRORS.includes(error.code ?? '')) return error;
  // OpenSSL has the system's clock: by the caller's, the way that OpenSSL took may be good.
  const seen = new Set<string>();
  let one = socket.getPeerCertificate(true);
  for (; one?.fingerprint256 !== undefined && !seen.has(one.fingerprint256); one = one.issuerCertificate) {
    if (Date.parse(one.valid_from) > nowMs || Date.parse(one.valid_to) <= nowMs) return error;
    seen.add(one.fingerprint256);
  }
  return undefined;
}
