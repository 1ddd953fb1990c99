// The server side of mTLS between sidecars: TLS 1.3, our ALPN, and a client certificate that is an SVID of our trust
// domain.
import tls from 'node:tls';
import { ALPN_HTTP2, ALPN_TCP } from '#core/contract/names.ts';
import { validateSvid } from '#core/contract/svid.ts';
import type { Clock } from '../http/clock.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../http/limits.ts';
import { ByteStream } from './byte-stream.ts';
import { EXPIRED, endedAt } from './expired.ts';

/** The reason where nothing is wrong with the client: no client would take what we show. */
const OWN_EXPIRED = 'own certificate expired';

/** What this workload shows to its clients, and the trust domain that theirs must be of. */
export interface ServerCredentials {
  /** null until the first certificate is there. */
  tlsServerContext(): tls.SecureContext | null;
  trustDomain(): string;
  /** '' while our certificate is good, else when it ended. Absent: it does not end. */
  expired?(): string;
}

export interface TlsPeer {
  /** SPIFFE id. */
  readonly identity: string;
  readonly alpn: typeof ALPN_HTTP2 | typeof ALPN_TCP;
  /** When its certificate ends, Unix ms: the connection must not outlive it. */
  readonly notAfterMs: number;
}

/**
 * Carries on an accepted connection as TLS.
 * @param first what was read of it so far: a ClientHello or its beginning
 * @param refused called with a short stable reason, and with more for people where there is more; the connection is gone
 * then
 */
export function acceptTls(
  plain: ByteStream,
  first: Buffer,
  credentials: ServerCredentials,
  clock: Clock,
  wallClock: () => number,
  secured: (stream: ByteStream, peer: TlsPeer) => void,
  refused: (reason: string, detail?: string) => void,
): void {
  const secureContext = credentials.tlsServerContext();
  plain.onClosed = () => {};
  if (secureContext === null) {
    plain.destroy();
    return refused('no certificate yet');
  }
  let socket: tls.TLSSocket;
  let done = false;
  const refuse = (reason: string, detail?: string): void => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    (socket ?? plain).destroy();
    // Clients leave when they see it, which would look as if they were to blame.
    const expired = credentials.expired?.() ?? '';
    if (expired === '') refused(reason, detail);
    else refused(OWN_EXPIRED, `this sidecar's ${expired}`);
  };
  const timer = setTimeout(() => refuse('handshake timeout'), HANDSHAKE_TIMEOUT_MS);
  const onError = (error: NodeJS.ErrnoException): void => refuse(error.code ?? 'handshake failed');
  const onClose = (): void => refuse('closed during the handshake');
  try {
    socket = new tls.TLSSocket(plain.release(first), {
      isServer: true,
      secureContext,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: [ALPN_HTTP2, ALPN_TCP],
    });
  } catch (error) {
    return refuse((error as NodeJS.ErrnoException).code ?? 'handshake failed');
  }
  socket.on('error', onError);
  socket.on('close', onClose);
  // A half-closed connection does not close by itself, and a handshake needs both halves.
  socket.on('end', onClose);
  socket.on('secure', () => {
    // Node's tls.Server would look at this; a TLSSocket of our own leaves it to us.
    const verifyError = (socket as unknown as { _handle: { verifyError(): Error | null } })._handle.verifyError();
    if (verifyError !== null) {
      const { code = 'unverified certificate' } = verifyError as NodeJS.ErrnoException;
      return refuse(code, code === EXPIRED ? endedAt(socket, wallClock()) : undefined);
    }
    const alpn = socket.alpnProtocol;
    if (alpn !== ALPN_HTTP2 && alpn !== ALPN_TCP) return refuse('wrong ALPN');
    const { raw } = socket.getPeerCertificate(false);
    if (raw === undefined) return refuse('no client certificate');
    const verdict = validateSvid(raw, { trustDomain: credentials.trustDomain(), nowMs: wallClock() });
    if (!verdict.ok) return refuse(verdict.reason);
    if ((credentials.expired?.() ?? '') !== '') return refuse(OWN_EXPIRED);
    done = true;
    clearTimeout(timer);
    socket.removeListener('error', onError);
    socket.removeListener('close', onClose);
    socket.removeListener('end', onClose);
    clock.update();
    socket.pause();
    secured(new ByteStream(socket, clock), { identity: verdict.identity, alpn, notAfterMs: verdict.notAfterMs });
  });
}
