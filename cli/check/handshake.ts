// Does a webhook's certificate hold against a caBundle, as the API server would judge it?
import { connect } from 'node:tls';
import { INJECTOR_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';

/** The name by which the API server calls the webhook. */
const SERVER_NAME = `${INJECTOR_NAME}.${SYSTEM_NAMESPACE}.svc`;

/**
 * A TLS handshake with the injector behind a port of 127.0.0.1.
 * @param caBundle PEM certificates in base64, as in the webhook's configuration
 * @returns '' when the certificate holds, else why it does not
 * @throws Error when there was no handshake to judge
 */
export function handshakeVerdict(port: number, caBundle: string, timeoutMs: number): Promise<string> {
  const ca = Buffer.from(caBundle, 'base64').toString('latin1');
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) return Promise.resolve('the caBundle holds no PEM certificate');
  return new Promise((resolve, reject) => {
    // Judged by hand below, so that a refusal differs from a connection that failed.
    const socket = connect({ host: '127.0.0.1', port, servername: SERVER_NAME, ca, rejectUnauthorized: false });
    const end = (settle: () => void): void => {
      clearTimeout(deadline);
      socket.destroy();
      settle();
    };
    const deadline = setTimeout(() => end(() => reject(new Error(`no TLS handshake within ${timeoutMs / 1000} s`))), timeoutMs);
    socket.once('secureConnect', () => {
      const verdict = socket.authorized ? '' : (socket.authorizationError?.toString() ?? 'not trusted');
      end(() => resolve(verdict));
    });
    socket.once('error', (error) => end(() => reject(error)));
    socket.once('close', () => end(() => reject(new Error('the connection was closed before the TLS handshake was over'))));
  });
}
