// TLS of the control plane's gRPC port: TLS 1.3, a client certificate is asked for but not demanded, and our own
// certificate changes while it runs.
//
// grpc-js 1.14.7 has no public way to say "optional client certificate" (createSsl demands one or asks for none) nor to
// swap certificates, but its server takes any subclass of ServerCredentials and reads it through
// _getConstructorOptions(), _getSecureContextOptions() and _addWatcher(). The package is pinned;
// test/control-plane/issue/server-credentials.test.ts fails when that changes.
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { toPem } from '#certs/authority.ts';
import type { ServerLeaf, ServerRotation } from '#certs/rotation.ts';
import { parseWorkloadIdentity, type WorkloadIdentity } from '#core/contract/identity.ts';
import { validateSvid } from '#core/contract/svid.ts';

/** A peer that has not finished its handshake by then is dropped, in ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Both at the start and at each swap: Node forgets what is not said again. */
const ALWAYS: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  // No session resumption: each connection shows its certificate.
  secureOptions: constants.SSL_OP_NO_TICKET,
};

class MeshServerCredentials extends ServerCredentials {
  constructor(rotation: ServerRotation, first: ServerLeaf) {
    // A certificate that does not verify is not shown to handlers; without one, only Issue serves.
    super(
      { requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ...ALWAYS },
      contextOptions(rotation, first),
    );
    rotation.onChange((leaf) => this.updateSecureContextOptions(contextOptions(rotation, leaf)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOptions(rotation: ServerRotation, leaf: ServerLeaf): SecureContextOptions {
  return {
    ...ALWAYS,
    ca: rotation.authority.rootsPem(),
    cert: leaf.chain.map((der) => toPem('CERTIFICATE', der)).join(''),
    key: leaf.key.export({ format: 'pem', type: 'pkcs8' }),
  };
}

/**
 * Credentials for `server.bindAsync()`. New connections use the newest certificate; open ones stay.
 * @throws Error when the rotation has not been started
 */
export function newServerCredentials(rotation: ServerRotation): ServerCredentials {
  const first = rotation.current();
  if (first === null) throw new Error('the rotation must be started first');
  return new MeshServerCredentials(rotation, first);
}

/** What is asked of a grpc-js call; all its kinds have it. */
export interface AuthenticatedCall {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } };
}

export type PeerVerdict =
  | { readonly ok: true; readonly identity: string; readonly workload: WorkloadIdentity; readonly notAfterMs: number }
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
  return { ok: true, identity: verdict.identity, workload, notAfterMs: verdict.notAfterMs };
}

/** The IP address of what grpc-js calls a peer: address:port, an IPv6 address without brackets. */
export function ipOfPeer(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':')));
}
