// This workload's certificate with its key, and the TLS context that both ends of a connection are made with.
import { constants, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { type IssueRequest, IssueRequestSchema, type IssueResponse } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { NONCE_OCTETS, proveKey } from '#core/contract/proof.ts';
import { validateSvid } from '#core/contract/svid.ts';

/** Fastest first on machines with AES instructions. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

export interface Leaf {
  readonly key: KeyObject;
  /** DER, leaf first. */
  readonly chain: readonly Buffer[];
  /** DER: all that may be trusted. */
  readonly roots: readonly Buffer[];
  /** SPIFFE id. */
  readonly identity: string;
  /** When it came, Unix ms. */
  readonly receivedMs: number;
  readonly notAfterMs: number;
  /** Which authority signed it (IssueResponse.signing); '': the control plane did not say. */
  readonly signing: string;
}

/** A request for a certificate: this key and the proof that we hold it. */
export function newIssueRequest(key: KeyObject, publicKey: Buffer, lifetimeSeconds: number): IssueRequest {
  const nonce = randomBytes(NONCE_OCTETS);
  const proof = proveKey(key, publicKey, nonce);
  return create(IssueRequestSchema, { publicKey, nonce, proof, lifetimeSeconds: BigInt(lifetimeSeconds) });
}

/**
 * Takes what the control plane has issued.
 * @throws Error when the certificate is not one we could use, with what is wrong with it
 */
export function readIssued(response: IssueResponse, key: KeyObject, trustDomain: string, nowMs: number): Leaf {
  if (response.trustDomain !== trustDomain) throw new Error(`it is of the trust domain "${response.trustDomain}", not "${trustDomain}"`);
  const chain = response.chain.map((der) => Buffer.from(der));
  const verdict = validateSvid(chain[0], { trustDomain, nowMs, expectedIdentity: response.identity });
  if (!verdict.ok) {
    const clock = verdict.reason === 'not yet valid' || verdict.reason === 'expired' ? ': is the clock of this machine right?' : '';
    throw new Error(`${verdict.reason}${clock}`);
  }
  if (!new X509Certificate(chain[0]!).checkPrivateKey(key)) throw new Error('it is for another key');
  const roots = readRoots(response.roots);
  return { key, chain, roots, identity: verdict.identity, receivedMs: nowMs, notAfterMs: verdict.notAfterMs, signing: response.signing };
}

/**
 * Roots that may be put into force.
 * @throws Error when there is none, because no peer could be trusted then, or when one is not an authority's
 * certificate
 */
export function readRoots(ders: readonly Uint8Array[]): Buffer[] {
  if (ders.length === 0) throw new Error('there is no root to trust');
  return ders.map((der, index) => {
    let certificate: X509Certificate;
    try {
      certificate = new X509Certificate(Buffer.from(der));
    } catch {
      throw new Error(`root ${index} is not a certificate`);
    }
    if (!certificate.ca) throw new Error(`root ${index} is not an authority's certificate`);
    return Buffer.from(der);
  });
}

/** The certificates of a PEM text, DER. @throws Error as readRoots() */
export function readPemRoots(text: string): Buffer[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return readRoots(blocks.map((block) => Buffer.from(block.replace(/-----[^-]+-----/g, ''), 'base64')));
}

/**
 * A context that trusts these roots; with a leaf it also shows who we are. It serves both ends, TLS 1.3 only, and never
 * resumes a session.
 */
export function newSecureContext(roots: readonly Buffer[], leaf: Leaf | null): tls.SecureContext {
  return tls.createSecureContext({
    minVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET,
    ca: roots.map(toPem).join(''),
    ...(leaf === null ? {} : { cert: leaf.chain.map(toPem).join(''), key: leaf.key.export({ format: 'pem', type: 'pkcs8' }) }),
  });
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
