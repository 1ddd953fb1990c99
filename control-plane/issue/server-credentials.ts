// TLS of the control plane's gRPC port, and what it shows of a peer: TLS 1.3, a client certificate is asked for but not
// demanded, and our own certificate changes while it runs (control-plane/issue/grpc-port.ts).
import { constants } from 'node:crypto';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { certificatesPem } from '#certs/authority.ts';
import type { ServerRotation } from '#certs/rotation.ts';
import { parseWorkloadIdentity, type WorkloadIdentity } from '#core/contract/identity.ts';
import { podUidOf } from '#core/contract/pod-uid.ts';
import { validateSvid } from '#core/contract/svid.ts';

/** A peer that has not finished its handshake by then is dropped, in ms. */
export const HANDSHAKE_WITHIN_MS = 10_000;

/** Both at the start and at each swap: Node forgets what is not said again. */
const ALWAYS: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  // No session resumption: each connection shows its certificate.
  secureOptions: constants.SSL_OP_NO_TICKET,
};

/** For `setSecureContext()`: the newest certificate. @throws Error when the rotation has not been started */
export function tlsContextOf(rotation: ServerRotation): SecureContextOptions {
  const leaf = rotation.current();
  if (leaf === null) throw new Error('the rotation must be started first');
  return {
    ...ALWAYS,
    ca: rotation.authority.rootsPem(),
    cert: certificatesPem(leaf.chain),
    key: leaf.key.export({ format: 'pem', type: 'pkcs8' }),
  };
}

/**
 * For the TLS server. A certificate that does not verify counts as none: its peer is a stranger.
 * @throws Error when the rotation has not been started
 */
export function tlsOptionsOf(rotation: ServerRotation): TlsOptions {
  return { ...tlsContextOf(rotation), requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
}

/** What is asked of a grpc-js call; all its kinds have it. */
export interface AuthenticatedCall {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } };
}

export type PeerVerdict =
  | {
      readonly ok: true;
      readonly identity: string;
      readonly workload: WorkloadIdentity;
      /** Of the pod that the certificate was issued to; '': it names none. */
      readonly podUid: string;
      readonly notAfterMs: number;
    }
  | { readonly ok: false; readonly reason: string };

/**
 * The workload at the other end of a call: its chain was verified against our roots at the handshake, its leaf is
 * judged here.
 * @param nowMs Unix ms. A call outlives its certificate unless the caller ends it at notAfterMs
 */
export function peerOf(call: AuthenticatedCall, trustDomain: string, nowMs: number): PeerVerdict {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return { ok: false, reason: 'no valid client certificate' };
  const verdict = validateSvid(certificate.raw, { trustDomain, nowMs });
  if (!verdict.ok) return verdict;
  const workload = parseWorkloadIdentity(verdict.identity);
  if (workload === null) return { ok: false, reason: 'not the identity of a ServiceAccount' };
  return { ok: true, identity: verdict.identity, workload, podUid: podUidOf(certificate.raw), notAfterMs: verdict.notAfterMs };
}

/** The IP address of what grpc-js calls a peer: address:port, an IPv6 address without brackets. */
export function ipOfPeer(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':')));
}
