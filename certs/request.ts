// What a workload asks a certificate with: a PKCS#10 request. Only its key counts; names and extensions in it are
// ignored.
import 'reflect-metadata';
import type { KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { readPublicKey } from './leaf.ts';

/** A request larger than this is refused unread. */
export const LARGEST_REQUEST = 16 * 1024;

export type ReadRequest = { readonly ok: true; readonly publicKey: KeyObject } | { readonly ok: false; readonly reason: string };

/**
 * Reads a PKCS#10 request (RFC 2986) in DER and verifies that its sender holds the key. The kind of key is looked at
 * before any arithmetic, so that a huge RSA key costs nothing. Never throws.
 */
export async function readCertificateRequest(der: Uint8Array): Promise<ReadRequest> {
  if (der.length > LARGEST_REQUEST) return { ok: false, reason: `the request is larger than ${LARGEST_REQUEST} octets` };
  try {
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(der));
    const publicKey = readPublicKey(Buffer.from(request.publicKey.rawData));
    if (publicKey === null) return { ok: false, reason: 'the key of the request must be ECDSA P-256' };
    if (!(await request.verify())) return { ok: false, reason: 'the signature of the request does not verify' };
    return { ok: true, publicKey };
  } catch {
    return { ok: false, reason: 'the request is not PKCS#10' };
  }
}
