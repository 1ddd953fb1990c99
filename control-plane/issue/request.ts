// What a sidecar sends to get a certificate, checked: sizes first, then the key, then that the sender holds it.
import type { KeyObject } from 'node:crypto';
import { readPublicKey } from '#certs/leaf.ts';
import { LARGEST_REQUEST, readCertificateRequest } from '#certs/request.ts';
import type { IssueRequest } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { isProofOfKey, LARGEST_PROOF, LONGEST_NONCE, SHORTEST_NONCE } from '#core/contract/proof.ts';

const LARGEST_PUBLIC_KEY = 4096;

export type ReadIssueRequest = { readonly ok: true; readonly publicKey: KeyObject } | { readonly ok: false; readonly reason: string };

/** Reads the key that a certificate is asked for. The reason of a refusal is for the client. Never throws. */
export async function readIssueRequest(request: IssueRequest): Promise<ReadIssueRequest> {
  const { publicKey, nonce, proof, csr } = request;
  if (csr.length > LARGEST_REQUEST) return refuse(`csr is larger than ${LARGEST_REQUEST} octets`);
  if (publicKey.length > LARGEST_PUBLIC_KEY) return refuse(`public_key is larger than ${LARGEST_PUBLIC_KEY} octets`);
  if (proof.length > LARGEST_PROOF) return refuse(`proof is larger than ${LARGEST_PROOF} octets`);
  if (csr.length > 0) {
    if (publicKey.length + nonce.length + proof.length > 0) return refuse('either csr or public_key, nonce and proof');
    return readCertificateRequest(csr);
  }
  if (publicKey.length === 0) return refuse('public_key is missing');
  if (nonce.length < SHORTEST_NONCE || nonce.length > LONGEST_NONCE)
    return refuse(`nonce must have ${SHORTEST_NONCE} to ${LONGEST_NONCE} octets`);
  const key = readPublicKey(publicKey);
  if (key === null) return refuse('public_key must be ECDSA P-256');
  if (!isProofOfKey(proof, key, publicKey, nonce)) return refuse('proof does not verify');
  return { ok: true, publicKey: key };
}

function refuse(reason: string): ReadIssueRequest {
  return { ok: false, reason };
}
