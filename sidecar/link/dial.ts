// Connections to endpoints: plain TCP, or mTLS whose certificate must be that of the identity the control plane named.
import net from 'node:net';
import tls from 'node:tls';
import { validateSvid } from '#core/contract/svid.ts';
import type { Clock } from '../http/clock.ts';
import type { DialFailure } from '../http/transport.ts';
import { ByteStream, KEEPALIVE_MS } from './byte-stream.ts';
import { EXPIRED, endedAt } from './expired.ts';

/** A TCP connection that is not there after this many ms never comes on a pod network. */
const CONNECT_TIMEOUT_MS = 1000;
/** L7 bounds the handshake of a peer; towards an endpoint we are less patient because there are others. */
const TLS_TIMEOUT_MS = 5000;

/** What this workload shows and trusts; certificates change while it runs. */
export interface ClientCredentials {
  /** null until the first certificate is there. */
  tlsClientContext(): tls.SecureContext | null;
  trustDomain(): string;
  /** '' while our certificate is good, else when it ended. Absent: it does not end. */
  expired?(): string;
}

export interface DialTarget {
  readonly address: string;
  readonly port: number;
  /** SPIFFE id; '' dials plaintext. */
  readonly identity: string;
  /** Own address to come from; see hairpin in sidecar/pod/capture/ports.ts. */
  readonly localAddress?: string;
  /** For places that are not on the pods' network: default CONNECT_TIMEOUT_MS. */
  readonly connectTimeoutMs?: number;
}

export interface DialResult {
  /** @param peerNotAfterMs end of the endpoint's certificate, Unix ms; infinite for plaintext */
  onOpen(stream: ByteStream, peerNotAfterMs: number): void;
  /** @param detail what went wrong, for people */
  onError(error: DialFailure, detail: string): void;
}

/** A plain connection from an address of our own, for questions to our own pod. */
export function connectPlain(to: { host: string; port: number; localAddress: string }): net.Socket {
  return net.connect(to);
}

/** Dials a target; exactly one of the result's functions is called, later. @returns a function that gives up */
export function dial(
  target: DialTarget,
  alpn: string,
  credentials: ClientCredentials,
  clock: Clock,
  wallClock: () => number,
  result: DialResult,
): () => void {
  const { address: host, port, localAddress, connectTimeoutMs = CONNECT_TIMEOUT_MS } = target;
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS };
  const socket = net.connect({ host, port, localAddress, allowHalfOpen: true, noDelay: true, ...keepAlive });
  let secure: tls.TLSSocket | null = null;
  let done = false;
  const fail = (error: DialFailure, detail: string): void => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    (secure ?? socket).destroy();
    clock.update();
    result.onError(error, `${target.address}:${target.port}: ${detail}`);
  };
  let timer = setTimeout(() => fail('connect_timeout', `no TCP connection within ${connectTimeoutMs / 1000} s`), connectTimeoutMs);
  const onError = (error: NodeJS.ErrnoException): void => fail('connect_failed', error.code ?? error.message);
  const open = (opened: net.Socket, peerNotAfterMs: number): void => {
    if (done) {
      opened.destroy();
      return;
    }
    done = true;
    clearTimeout(timer);
    opened.pause();
    opened.removeListener('error', onError);
    opened.removeListener('close', onClose);
    clock.update();
    result.onOpen(new ByteStream(opened, clock), peerNotAfterMs);
  };
  const onClose = (): void => fail('connect_failed', 'closed during the handshake');
  socket.on('error', onError);
  socket.on('connect', () => {
    if (target.identity === '') return open(socket, Number.POSITIVE_INFINITY);
    const secureContext = credentials.tlsClientContext();
    if (secureContext === null) return fail('connect_failed', 'this sidecar has no certificate yet');
    // The endpoint would end the handshake, or the connection just after it, without a word.
    const expired = credentials.expired?.() ?? '';
    if (expired !== '') return fail('own_certificate_expired', `this sidecar's ${expired}`);
    clearTimeout(timer);
    timer = setTimeout(() => fail('connect_timeout', 'no TLS handshake within 5 s'), TLS_TIMEOUT_MS);
    // No host names and no session reuse: a resumed session would skip the checks below.
    secure = tls.connect({ socket, secureContext, ALPNProtocols: [alpn], rejectUnauthorized: false, checkServerIdentity: () => undefined });
    secure.on('error', onError);
    secure.on('close', onClose);
    secure.on('secureConnect', () => {
      const peer = secure!;
      const refusal = String(peer.authorizationError);
      if (refusal === EXPIRED) return fail('certificate_expired', endedAt(peer, wallClock()));
      if (!peer.authorized) return fail('identity_mismatch', `certificate refused: ${refusal}`);
      if (peer.alpnProtocol !== alpn) return fail('connect_failed', `ALPN ${String(peer.alpnProtocol)} instead of ${alpn}`);
      const der = peer.getPeerCertificate(false).raw;
      const verdict = validateSvid(der, { trustDomain: credentials.trustDomain(), nowMs: wallClock(), expectedIdentity: target.identity });
      if (!verdict.ok) return fail('identity_mismatch', `certificate is not that of ${target.identity}: ${verdict.reason}`);
      open(peer, verdict.notAfterMs);
    });
  });
  return () => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    (secure ?? socket).destroy();
  };
}
