// Certificates that a peer may show, good and bad ones, and what our validator says of each.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import type { SvidRefusal } from '#core/contract/svid.ts';
import { type CertificateWish, EKU, KU } from './craft-certificate.ts';

const HOUR_MS = 3600_000;
const TD = 'spiffe://cluster.local';
const ago = (hours: number): Date => new Date(Date.now() - hours * HOUR_MS);

export interface SvidCase {
  readonly name: string;
  readonly wish: CertificateWish;
  /** 'ok': it passes. */
  readonly expect: SvidRefusal | 'ok';
}

const uri = (name: string, value: string, expect: SvidCase['expect']): SvidCase => ({ name, wish: { uris: [value] }, expect });

export const SVID_TABLE: readonly SvidCase[] = [
  { name: 'one good id', wish: {}, expect: 'ok' },
  { name: 'a DNS name besides', wish: { dns: ['checkout.shop.svc'] }, expect: 'ok' },
  { name: 'a subject, names not critical', wish: { subject: 'CN=checkout', sanCritical: false }, expect: 'ok' },
  { name: 'no extended key usage', wish: { extendedKeyUsage: null }, expect: 'ok' },
  { name: 'no basic constraints', wish: { ca: null }, expect: 'ok' },
  {
    name: 'more key usages of an end entity',
    wish: { keyUsage: KU.digitalSignature | KU.keyAgreement | KU.keyEncipherment },
    expect: 'ok',
  },
  { name: 'one more extended key usage', wish: { extendedKeyUsage: [EKU.serverAuth, EKU.clientAuth, EKU.codeSigning] }, expect: 'ok' },
  uri('scheme and trust domain in upper case', 'SPIFFE://CLUSTER.LOCAL/ns/shop/sa/checkout', 'ok'),
  uri('another path of the trust domain', `${TD}/some/Other_path.1`, 'ok'),
  uri('a path of 2048 octets in all', `${TD}/${'x'.repeat(2048 - TD.length - 1)}`, 'ok'),
  {
    name: 'an unknown extension, not critical',
    wish: { more: [new x509.Extension('1.3.6.1.4.1.99999.1', false, Buffer.from('0500', 'hex'))] },
    expect: 'ok',
  },

  { name: 'two URI names', wish: { uris: [`${TD}/ns/shop/sa/checkout`, `${TD}/ns/shop/sa/admin`] }, expect: 'several URI names' },
  {
    name: 'the same URI name twice',
    wish: { uris: [`${TD}/ns/shop/sa/checkout`, `${TD}/ns/shop/sa/checkout`] },
    expect: 'several URI names',
  },
  { name: 'an https URI besides', wish: { uris: [`${TD}/ns/shop/sa/checkout`, 'https://example.org/'] }, expect: 'several URI names' },
  { name: 'no URI name', wish: { uris: [], dns: ['checkout.shop.svc'] }, expect: 'no URI name' },
  { name: 'no names at all', wish: { noSan: true, subject: `CN=${TD}/ns/shop/sa/checkout` }, expect: 'no URI name' },
  { name: 'the id as a DNS name', wish: { uris: [], dns: [`${TD}/ns/shop/sa/checkout`] }, expect: 'no URI name' },
  uri('another scheme', 'https://cluster.local/ns/shop/sa/checkout', 'malformed SPIFFE id'),
  uri('no scheme', 'cluster.local/ns/shop/sa/checkout', 'malformed SPIFFE id'),
  uri('a comma and a second id behind it', `${TD}/ns/shop/sa/x, URI:${TD}/ns/shop/sa/checkout`, 'malformed SPIFFE id'),
  uri('quotes', `"${TD}/ns/shop/sa/checkout"`, 'malformed SPIFFE id'),
  uri('NUL in the path', `${TD}/ns/shop/sa/checkout\0x`, 'malformed SPIFFE id'),
  uri('no path', TD, 'SPIFFE id without a path'),
  uri('root path', `${TD}/`, 'malformed SPIFFE id'),
  uri('..', `${TD}/ns/../sa/checkout`, 'malformed SPIFFE id'),
  uri('.', `${TD}/ns/./sa/checkout`, 'malformed SPIFFE id'),
  uri('empty segment', `${TD}/ns//sa/checkout`, 'malformed SPIFFE id'),
  uri('trailing slash', `${TD}/ns/shop/sa/checkout/`, 'malformed SPIFFE id'),
  uri('percent-encoding', `${TD}/ns/shop/sa/%63heckout`, 'malformed SPIFFE id'),
  uri('query', `${TD}/ns/shop/sa/checkout?x=1`, 'malformed SPIFFE id'),
  uri('fragment', `${TD}/ns/shop/sa/checkout#x`, 'malformed SPIFFE id'),
  uri('port', 'spiffe://cluster.local:443/ns/shop/sa/checkout', 'malformed SPIFFE id'),
  uri('user info', 'spiffe://x@cluster.local/ns/shop/sa/checkout', 'malformed SPIFFE id'),
  uri('empty trust domain', 'spiffe:///ns/shop/sa/checkout', 'malformed SPIFFE id'),
  uri('trust domain of 256 letters', `spiffe://${'a'.repeat(256)}/ns/shop/sa/checkout`, 'malformed SPIFFE id'),
  uri('2049 octets', `${TD}/${'x'.repeat(2049 - TD.length - 1)}`, 'malformed SPIFFE id'),
  uri('another trust domain', 'spiffe://cluster.example/ns/shop/sa/checkout', 'wrong trust domain'),
  uri('a trust domain that begins with ours', 'spiffe://cluster.local.evil/ns/shop/sa/checkout', 'wrong trust domain'),
  { name: 'empty subject, names not critical', wish: { sanCritical: false }, expect: 'names not critical' },
  { name: 'an authority', wish: { ca: true }, expect: 'CA certificate' },
  { name: 'no key usage', wish: { keyUsage: null }, expect: 'no key usage' },
  { name: 'key usage not critical', wish: { keyUsageCritical: false }, expect: 'key usage not critical' },
  { name: 'may sign certificates', wish: { keyUsage: KU.digitalSignature | KU.keyCertSign }, expect: 'wrong key usage' },
  { name: 'may sign revocations', wish: { keyUsage: KU.digitalSignature | KU.cRLSign }, expect: 'wrong key usage' },
  { name: 'may not sign', wish: { keyUsage: KU.keyAgreement }, expect: 'wrong key usage' },
  { name: 'server only', wish: { extendedKeyUsage: [EKU.serverAuth] }, expect: 'wrong extended key usage' },
  { name: 'client only', wish: { extendedKeyUsage: [EKU.clientAuth] }, expect: 'wrong extended key usage' },
  { name: 'expired', wish: { notBefore: ago(2), notAfter: ago(1) }, expect: 'expired' },
  { name: 'not yet valid', wish: { notBefore: ago(-1), notAfter: ago(-2) }, expect: 'not yet valid' },
  {
    name: 'an unknown critical extension',
    wish: { more: [new x509.Extension('1.3.6.1.4.1.99999.1', true, Buffer.from('0500', 'hex'))] },
    expect: 'unknown critical extension',
  },
];
