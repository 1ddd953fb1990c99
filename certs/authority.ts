// The certificate authority: an ECDSA P-256 key that signs workloads' certificates, and the roots that may be trusted.
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { controlPlaneSpiffeId, isTrustDomain, workloadSpiffeId } from '#core/contract/identity.ts';
import { isPodUid } from '#core/contract/pod-uid.ts';
import { makeLeaf, newSerialNumber } from './leaf.ts';

const DAY_MS = 24 * 3600_000;
export const DEFAULT_ROOT_LIFETIME_MS = 3650 * DAY_MS;
export const DEFAULT_LEAF_LIFETIME_MS = 12 * 3600_000;
export const DEFAULT_MAX_LEAF_LIFETIME_MS = 24 * 3600_000;
/** A shorter lifetime is lengthened to this: a certificate must outlive the way to its owner. */
export const MIN_LEAF_LIFETIME_MS = 1000;
/** NotBefore lies this far back, for clocks that are late. */
export const BACKDATE_MS = 2 * 60_000;

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export interface AuthoritySettings {
  readonly trustDomain: string;
  /** Unix ms. */
  readonly now: () => number;
  /** What is issued when no lifetime is asked for. */
  readonly leafLifetimeMs?: number;
  readonly maxLeafLifetimeMs?: number;
}

/** What an authority is kept as: PEM. The key is a secret. */
export interface AuthorityPem {
  readonly certificate: string;
  /** PKCS#8. */
  readonly key: string;
  /** More roots to trust, before or after a rotation: any number of certificates. */
  readonly extraRoots?: string;
}

export interface IssuedLeaf {
  /** DER, the leaf first. */
  readonly chain: readonly Buffer[];
  readonly identity: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** An authority that cannot sign now: its own certificate is expired or not one. */
export class AuthorityError extends Error {}

export class Authority {
  readonly trustDomain: string;
  readonly certificate: X509Certificate;
  /** Unix ms: from then on it signs nothing. */
  readonly notAfterMs: number;
  private readonly settings: AuthoritySettings;
  private readonly key: webcrypto.CryptoKey;
  private readonly publicKey: webcrypto.CryptoKey;
  private readonly spki: Buffer;
  private readonly trusted: readonly Buffer[];

  private constructor(
    settings: AuthoritySettings,
    certificate: X509Certificate,
    key: webcrypto.CryptoKey,
    publicKey: webcrypto.CryptoKey,
    trusted: readonly Buffer[],
  ) {
    this.settings = settings;
    this.trustDomain = settings.trustDomain;
    this.certificate = certificate;
    this.notAfterMs = Date.parse(certificate.validTo);
    this.key = key;
    this.publicKey = publicKey;
    this.spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
    this.trusted = trusted;
  }

  /** Makes a new self-signed authority. @throws RangeError for a malformed trust domain */
  static async create(settings: AuthoritySettings & { readonly lifetimeMs?: number }): Promise<Authority> {
    return Authority.load(await Authority.generate(settings), settings);
  }

  /** Makes key and certificate of a new authority, to be kept. @throws RangeError for a malformed trust domain */
  static async generate(settings: AuthoritySettings & { readonly lifetimeMs?: number }): Promise<AuthorityPem> {
    if (!isTrustDomain(settings.trustDomain)) throw new RangeError(`not a trust domain: ${JSON.stringify(settings.trustDomain)}`);
    const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
    const nowMs = settings.now();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerialNumber(),
      name: `O=weft, CN=${settings.trustDomain}`,
      notBefore: new Date(nowMs - BACKDATE_MS),
      notAfter: new Date(nowMs + (settings.lifetimeMs ?? DEFAULT_ROOT_LIFETIME_MS)),
      keys: keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        // X.509-SVID §4.1: a signing certificate's id has no path.
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${settings.trustDomain}` }]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    return { certificate: `${certificate.toString('pem')}\n`, key: toPem('PRIVATE KEY', pkcs8) };
  }

  /**
   * Takes up an authority that was kept, or one made elsewhere.
   * @throws AuthorityError when certificate and key are not those of a P-256 authority, or an extra root is not a
   * certificate
   */
  static async load(pem: AuthorityPem, settings: AuthoritySettings): Promise<Authority> {
    if (!isTrustDomain(settings.trustDomain)) throw new RangeError(`not a trust domain: ${JSON.stringify(settings.trustDomain)}`);
    const certificate = parseRoot(pem.certificate);
    if (certificate.publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
      throw new AuthorityError('the authority must have an ECDSA P-256 key');
    const { key, publicKey } = await importKey(pem.key, certificate);
    const others = splitPem(pem.extraRoots ?? '').map((one) => parseRoot(one).raw);
    const trusted = [certificate.raw, ...others.filter((other) => !other.equals(certificate.raw))];
    return new Authority(settings, certificate, key, publicKey, trusted);
  }

  /** All roots that may be trusted now, DER, the signing one first. */
  roots(): readonly Buffer[] {
    return this.trusted;
  }

  /** The same as one PEM text. */
  rootsPem(): string {
    return this.trusted.map((der) => toPem('CERTIFICATE', der)).join('');
  }

  /** Whether this is the authority's own key, which no workload may hold. */
  isOwnKey(publicKey: KeyObject): boolean {
    return publicKey.export({ format: 'der', type: 'spki' }).equals(this.spki);
  }

  /** The lifetime for the one that is asked for (ms, 0: none), clamped to what this authority grants. */
  grantedLifetimeMs(wishMs: number): number {
    const most = this.settings.maxLeafLifetimeMs ?? DEFAULT_MAX_LEAF_LIFETIME_MS;
    const wanted = wishMs > 0 ? wishMs : (this.settings.leafLifetimeMs ?? DEFAULT_LEAF_LIFETIME_MS);
    return Math.max(MIN_LEAF_LIFETIME_MS, Math.min(wanted, most));
  }

  /**
   * Signs a certificate for a ServiceAccount. It never outlives the authority.
   * @param lifetimeMs as asked for; 0: the default
   * @param podUid the pod that it is for; absent, or no uid: it names none
   * @throws AuthorityError when the authority itself has expired, RangeError for a name that is not Kubernetes'
   */
  issue(publicKey: KeyObject, namespace: string, serviceAccount: string, lifetimeMs = 0, podUid = ''): Promise<IssuedLeaf> {
    return this.sign(publicKey, workloadSpiffeId(this.trustDomain, namespace, serviceAccount), lifetimeMs, podUid);
  }

  /** Signs the control plane's own certificate. */
  issueControlPlane(publicKey: KeyObject, lifetimeMs = 0): Promise<IssuedLeaf> {
    return this.sign(publicKey, controlPlaneSpiffeId(this.trustDomain), lifetimeMs);
  }

  private async sign(publicKey: KeyObject, identity: string, wishMs: number, podUid = ''): Promise<IssuedLeaf> {
    const nowMs = this.settings.now();
    // X.509 counts seconds: cut down, so that what we say of a certificate is what stands in it.
    const notBeforeMs = floorSecond(nowMs - BACKDATE_MS);
    const notAfterMs = floorSecond(Math.min(nowMs + this.grantedLifetimeMs(wishMs), this.notAfterMs));
    if (notAfterMs <= nowMs - 1000)
      throw new AuthorityError(`the authority's certificate expired at ${new Date(this.notAfterMs).toISOString()}`);
    const issuer = { subject: new x509.X509Certificate(this.certificate.raw).subjectName, key: this.key, publicKey: this.publicKey };
    const der = await makeLeaf({ identity, publicKey, notBeforeMs, notAfterMs, issuer, ...(isPodUid(podUid) && { podUid }) });
    return { chain: [der], identity, notBeforeMs, notAfterMs };
  }
}

/** The certificates of a PEM text, one text each. */
export function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** PEM of DER. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function parseRoot(pem: string): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw new AuthorityError(`not a certificate: ${(error as Error).message}`);
  }
  if (!certificate.ca) throw new AuthorityError(`not an authority's certificate: ${certificate.subject ?? '(no subject)'}`);
  return certificate;
}

async function importKey(pem: string, certificate: X509Certificate): Promise<{ key: webcrypto.CryptoKey; publicKey: webcrypto.CryptoKey }> {
  try {
    const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
    const key = await webcrypto.subtle.importKey('pkcs8', der, P256, false, ['sign']);
    const spki = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })).export({ format: 'der', type: 'spki' });
    if (!spki.equals(certificate.publicKey.export({ format: 'der', type: 'spki' }))) throw new Error('it is of another certificate');
    const publicKey = await webcrypto.subtle.importKey('spki', spki, P256, true, ['verify']);
    return { key, publicKey };
  } catch (error) {
    throw new AuthorityError(`the authority's key cannot be used: ${(error as Error).message}`);
  }
}

function floorSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
