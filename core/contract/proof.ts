// The proof of possession in weft.v1.Certificates/Issue: the asker signs with the key for which it wants a certificate
// (certificates.proto).

import { type KeyObject, sign, verify } from 'node:crypto';

/** Octets of the nonce, which the asker takes at random: what the control plane takes, and what a sidecar sends. */
export const SHORTEST_NONCE = 16;
export const LONGEST_NONCE = 64;
export const NONCE_OCTETS = 32;

/** Octets of a proof that the control plane looks at; one of P-256 has at most 72. */
export const LARGEST_PROOF = 1024;

/** It is signed before nonce and key, so that no other protocol's signature can pass for a proof. */
const CONTEXT = Buffer.from('weft.v1.Certificates/Issue\n');

/**
 * ECDSA with SHA-256 over context, nonce and public key, in DER.
 * @param key ECDSA P-256
 * @param publicKey its public half, a SubjectPublicKeyInfo in DER
 */
export function proveKey(key: KeyObject, publicKey: Uint8Array, nonce: Uint8Array): Buffer {
  return sign('sha256', signedOctets(publicKey, nonce), { key, dsaEncoding: 'der' });
}

/**
 * Whether the sender of a proof holds the key.
 * @param key the public key that was read from `publicKey`, ECDSA P-256
 */
export function isProofOfKey(proof: Uint8Array, key: KeyObject, publicKey: Uint8Array, nonce: Uint8Array): boolean {
  return verify('sha256', signedOctets(publicKey, nonce), { key, dsaEncoding: 'der' }, proof);
}

function signedOctets(publicKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.concat([CONTEXT, nonce, publicKey]);
}
