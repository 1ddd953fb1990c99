// The certificate authority: a key that signs workloads' certificates, its chain, and the roots that may be trusted.
import 'reflect-metadata';
import { createHash, generateKeyPairSync, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { controlPlaneSpiffeId, isTrustDomain, workloadSpiffeId } from '#core/contract/identity.ts';
import { isPodUid } from '#core/contract/pod-uid.ts';
import {
  type AuthorityChain,
  chainTo,
  distinguishedName,
  isSelfSigned,
  readSigningKey,
  type SigningKey,
  tryHandshake,
} from './authority-chain.ts';
import { type LeafContent, makeLeaf, newSerialNumber } from './leaf.ts';

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
  /** The signing certificate first; the chain above it may follow. */
  readonly certificate: string;
  /** PKCS#8, SEC1 or PKCS#1. */
  readonly key: string;
  /** Certificates of its issuers, as cert-manager writes them into ca.crt. */
  readonly issuers?: string;
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

/** Also an AuthorityInUse (in-use.ts) that never changes. */
export class Authority {
  readonly trustDomain: string;
  readonly signing: Authority = this;
  readonly generation = 0;
  /** Which certificates lead from a leaf to the root: a short hash, equal wherever it is loaded. */
  readonly id: string;
  readonly certificate: X509Certificate;
  /** Unix ms: the last of its chain begins. */
  readonly notBeforeMs: number;
  /** Unix ms: from then on it signs nothing. */
  readonly notAfterMs: number;
  readonly root: X509Certificate;
  private readonly settings: AuthoritySettings;
  private readonly issuer: LeafContent['issuer'];
  private readonly spki: Buffer;
  /** What goes out with each leaf, DER: the certificates between it and the root. */
  private readonly intermediates: readonly Buffer[];
  private readonly trusted: readonly Buffer[];

  private constructor(
    settings: AuthoritySettings,
    certificate: X509Certificate,
    signer: SigningKey,
    chain: AuthorityChain,
    trusted: readonly Buffer[],
  ) {
    this.settings = settings;
    this.trustDomain = settings.trustDomain;
    this.certificate = certificate;
    this.notBeforeMs = chain.notBeforeMs;
    this.notAfterMs = chain.notAfterMs;
    this.root = chain.root;
    const hash = createHash('sha256');
    for (const { raw } of [...chain.intermediates, chain.root]) hash.update(raw);
    this.id = hash.digest('hex').slice(0, 16);
    const own = new x509.X509Certificate(certificate.raw);
    const keyId = own.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
    this.issuer = { ...signer, subject: own.subjectName, ...(keyId !== undefined && { keyId }) };
    this.intermediates = chain.intermediates.map(({ raw }) => raw);
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
   * Takes up an authority that was kept, or one made elsewhere: a root, or an intermediate with its chain. It is tried
   * by a handshake.
   * @throws AuthorityError when certificate, key and chain are not those of an authority whose leaves verify
   */
  static async load(pem: AuthorityPem, settings: AuthoritySettings): Promise<Authority> {
    if (!isTrustDomain(settings.trustDomain)) throw new RangeError(`not a trust domain: ${JSON.stringify(settings.trustDomain)}`);
    const [first, ...above] = splitPem(pem.certificate).map(parseAuthority);
    if (first === undefined) throw new AuthorityError('not a certificate: tls.crt holds none');
    const extra = splitPem(pem.extraRoots ?? '').map(parseAuthority);
    const issuers = [...above, ...splitPem(pem.issuers ?? '').map(parseAuthority)];
    const signer = await readSigningKey(pem.key, first).catch((error: Error) => {
      throw new AuthorityError(`the authority's key cannot be used: ${error.message}`);
    });
    let chain: AuthorityChain;
    try {
      chain = chainTo(first, [...issuers, ...extra], settings.now());
    } catch (error) {
      throw new AuthorityError(`the authority's certificate cannot be used: ${(error as Error).message}`);
    }
    if (chain.notBeforeMs > settings.now() + BACKDATE_MS)
      throw new AuthorityError(`the authority is not valid before ${new Date(chain.notBeforeMs).toISOString()}`);
    // What is no root is no anchor.
    const roots = [chain.root, ...[...issuers, ...extra].filter(isSelfSigned)];
    const trusted = roots.map(({ raw }) => raw).filter((raw, i, all) => all.findIndex((other) => other.equals(raw)) === i);
    const authority = new Authority(settings, first, signer, chain, trusted);
    if (chain.notAfterMs > settings.now()) await authority.tryOut();
    return authority;
  }

  /** All roots that may be trusted now, DER, that of the authority first. */
  roots(): readonly Buffer[] {
    return this.trusted;
  }

  /** The same as one PEM text. */
  rootsPem(): string {
    return certificatesPem(this.trusted);
  }

  /** It stays as it is. */
  onChange(): () => void {
    return () => {};
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
    const der = await makeLeaf({ identity, publicKey, notBeforeMs, notAfterMs, issuer: this.issuer, ...(isPodUid(podUid) && { podUid }) });
    return { chain: [der, ...this.intermediates], identity, notBeforeMs, notAfterMs };
  }

  /** @throws AuthorityError when a leaf of this authority would not verify */
  private async tryOut(): Promise<void> {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { chain } = await this.issueControlPlane(publicKey);
    const cert = certificatesPem(chain);
    const key = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    try {
      await tryHandshake({ cert, key, ca: this.rootsPem() }, this.settings.now());
    } catch (error) {
      throw new AuthorityError(`certificates of ${distinguishedName(this.certificate.subject)} do not verify: ${(error as Error).message}`);
    }
  }
}

/** The certificates of a PEM text, one text each. */
export function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** Certificates in DER as one PEM text. */
export function certificatesPem(ders: readonly Uint8Array[]): string {
  return ders.map((der) => toPem('CERTIFICATE', der)).join('');
}

/** PEM of DER. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function parseAuthority(pem: string): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw new AuthorityError(`not a certificate: ${(error as Error).message}`);
  }
  if (!certificate.ca) throw new AuthorityError(`not an authority's certificate: ${distinguishedName(certificate.subject)}`);
  return certificate;
}

function floorSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
