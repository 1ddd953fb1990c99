// Our rules for a peer's certificate (X.509-SVID §4-5, reference: SPIFFE). OpenSSL has verified the chain; it knows
// nothing of SPIFFE.
import { DerReader, TAG } from './der.ts';
import { parseSpiffeId } from './identity.ts';

/** A certificate larger than this is not read: an SVID has a kilobyte or so. */
export const LARGEST_CERTIFICATE = 16 * 1024;
/** Clocks of two machines may differ by this much. */
export const CLOCK_SKEW_MS = 2 * 60_000;

/** Why a certificate is refused: stable, used as a metric label. */
export type SvidRefusal =
  | 'malformed certificate'
  | 'no URI name'
  | 'several URI names'
  | 'malformed SPIFFE id'
  | 'SPIFFE id without a path'
  | 'names not critical'
  | 'CA certificate'
  | 'no key usage'
  | 'key usage not critical'
  | 'wrong key usage'
  | 'wrong extended key usage'
  | 'unknown critical extension'
  | 'wrong trust domain'
  | 'not yet valid'
  | 'expired'
  | 'identity mismatch';

export type SvidVerdict =
  | { readonly ok: true; readonly identity: string; readonly notBeforeMs: number; readonly notAfterMs: number }
  | { readonly ok: false; readonly reason: SvidRefusal };

export interface SvidExpectation {
  /** Lower case. */
  readonly trustDomain: string;
  /** Unix ms. */
  readonly nowMs: number;
  /** The SPIFFE id that the certificate must carry; absent: any of the trust domain. */
  readonly expectedIdentity?: string;
}

const OID_SAN = '551d11';
const OID_BASIC_CONSTRAINTS = '551d13';
const OID_KEY_USAGE = '551d0f';
const OID_EXTENDED_KEY_USAGE = '551d25';
const OID_SERVER_AUTH = '2b06010505070301';
const OID_CLIENT_AUTH = '2b06010505070302';
const SAN_URI = 0x86;
const KEY_USAGE_DIGITAL_SIGNATURE = 0x80;
const KEY_USAGE_KEY_CERT_SIGN = 0x04;
const KEY_USAGE_CRL_SIGN = 0x02;

interface Facts {
  notBeforeMs: number;
  notAfterMs: number;
  subjectEmpty: boolean;
  uris: string[];
  sanCritical: boolean;
  ca: boolean;
  keyUsage: number | null;
  keyUsageCritical: boolean;
  extendedKeyUsage: string[] | null;
  unknownCritical: boolean;
}

/**
 * Judges a peer's leaf certificate. The chain must have been verified by TLS before; this adds what SPIFFE asks.
 * @param der the certificate as the TLS library gives it (`getPeerCertificate().raw`); undefined: there is none
 * @returns the canonical SPIFFE id and the validity in Unix ms, or one stable reason. Never throws.
 */
export function validateSvid(der: Buffer | undefined, expectation: SvidExpectation): SvidVerdict {
  if (der === undefined || der.length > LARGEST_CERTIFICATE) return refuse('malformed certificate');
  let facts: Facts;
  try {
    facts = readFacts(der);
  } catch {
    return refuse('malformed certificate');
  }
  return judge(facts, expectation);
}

function judge(facts: Facts, { trustDomain, nowMs, expectedIdentity }: SvidExpectation): SvidVerdict {
  if (facts.unknownCritical) return refuse('unknown critical extension');
  if (facts.uris.length === 0) return refuse('no URI name');
  if (facts.uris.length > 1) return refuse('several URI names');
  const parsed = parseSpiffeId(facts.uris[0]!);
  if (!parsed.ok) return refuse('malformed SPIFFE id');
  if (parsed.id.path === '') return refuse('SPIFFE id without a path');
  if (facts.subjectEmpty && !facts.sanCritical) return refuse('names not critical');
  if (facts.ca) return refuse('CA certificate');
  if (facts.keyUsage === null) return refuse('no key usage');
  if (!facts.keyUsageCritical) return refuse('key usage not critical');
  if ((facts.keyUsage & KEY_USAGE_DIGITAL_SIGNATURE) === 0) return refuse('wrong key usage');
  if ((facts.keyUsage & (KEY_USAGE_KEY_CERT_SIGN | KEY_USAGE_CRL_SIGN)) !== 0) return refuse('wrong key usage');
  const usages = facts.extendedKeyUsage;
  if (usages !== null && !(usages.includes(OID_SERVER_AUTH) && usages.includes(OID_CLIENT_AUTH))) return refuse('wrong extended key usage');
  if (parsed.id.trustDomain !== trustDomain) return refuse('wrong trust domain');
  if (nowMs < facts.notBeforeMs - CLOCK_SKEW_MS) return refuse('not yet valid');
  if (nowMs > facts.notAfterMs) return refuse('expired');
  const identity = `spiffe://${parsed.id.trustDomain}${parsed.id.path}`;
  if (expectedIdentity !== undefined && identity !== expectedIdentity) return refuse('identity mismatch');
  return { ok: true, identity, notBeforeMs: facts.notBeforeMs, notAfterMs: facts.notAfterMs };
}

function refuse(reason: SvidRefusal): SvidVerdict {
  return { ok: false, reason };
}

// Certificate and TBSCertificate, RFC 5280 §4.1.
function readFacts(der: Buffer): Facts {
  const outer = new DerReader(der);
  const certificate = outer.enter(TAG.sequence);
  outer.finish();
  const tbs = certificate.enter(TAG.sequence);
  certificate.next(TAG.sequence);
  certificate.next(TAG.bitString);
  certificate.finish();
  tbs.skip(0xa0); // version
  tbs.next(TAG.integer);
  tbs.next(TAG.sequence); // signature algorithm
  tbs.next(TAG.sequence); // issuer
  const validity = tbs.enter(TAG.sequence);
  const facts: Facts = {
    notBeforeMs: validity.time(),
    notAfterMs: validity.time(),
    subjectEmpty: false,
    uris: [],
    sanCritical: false,
    ca: false,
    keyUsage: null,
    keyUsageCritical: false,
    extendedKeyUsage: null,
    unknownCritical: false,
  };
  validity.finish();
  const subject = tbs.next(TAG.sequence);
  facts.subjectEmpty = subject.start === subject.end;
  tbs.next(TAG.sequence); // public key
  tbs.skip(0x81); // unique ids
  tbs.skip(0x82);
  if (tbs.peek() === 0xa3) {
    const wrapped = tbs.enter(0xa3);
    readExtensions(wrapped.enter(TAG.sequence), facts);
    wrapped.finish();
  }
  tbs.finish();
  return facts;
}

function readExtensions(list: DerReader, facts: Facts): void {
  const seen = new Set<string>();
  while (!list.done) {
    const extension = list.enter(TAG.sequence);
    const oid = extension.oid();
    // RFC 5280 §4.2: not more than one of each; two would let two readers see two certificates.
    if (seen.has(oid)) throw new Error('extension twice');
    seen.add(oid);
    const critical = extension.peek() === TAG.boolean && extension.boolean();
    const value = extension.enter(TAG.octetString);
    extension.finish();
    if (oid === OID_SAN) {
      facts.sanCritical = critical;
      readNames(value, facts);
    } else if (oid === OID_BASIC_CONSTRAINTS) {
      const constraints = value.enter(TAG.sequence);
      facts.ca = constraints.peek() === TAG.boolean && constraints.boolean();
    } else if (oid === OID_KEY_USAGE) {
      const bits = value.bytes(value.next(TAG.bitString));
      facts.keyUsage = bits.length > 1 ? bits[1]! : 0;
      facts.keyUsageCritical = critical;
    } else if (oid === OID_EXTENDED_KEY_USAGE) {
      const usages = value.enter(TAG.sequence);
      facts.extendedKeyUsage = [];
      while (!usages.done) facts.extendedKeyUsage.push(usages.oid());
    } else if (critical) {
      facts.unknownCritical = true;
    }
  }
}

function readNames(value: DerReader, facts: Facts): void {
  const names = value.enter(TAG.sequence);
  value.finish();
  while (!names.done) {
    const name = names.next();
    if (name.tag === SAN_URI) facts.uris.push(names.bytes(name).toString('latin1'));
  }
}
