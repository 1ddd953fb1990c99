// Joins a connection of the application to its target as a stream of octets: over mTLS, or in plaintext where the
// target has no sidecar.
import { ALPN_TCP } from '#core/contract/names.ts';
import { NOT_HTTP2 } from '../forward/errors.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import { type DialTarget, dial } from '../link/dial.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import type { ServicePortRef } from '../route/records.ts';
import { newServicePortRef } from '../route/service-port.ts';
import { refuseConnection } from '../tcp/refuse.ts';
import { relay } from '../tcp/relay.ts';
import { joinUndecided } from '../tcp/undecided.ts';
import type { OutboundDeps } from './deps.ts';

/** The world outside may be far: the kernel repeats a lost SYN after 1, 3, 7 and 15 s. In ms. */
const OUTSIDE_CONNECT_MS = 30_000;
/** Traffic that no Service accounts for. */
const PASSED_THROUGH = newServicePortRef('', 'passthrough', 0);

/** What serves a connection whose client has been silent, once it is found to be HTTP. */
export interface Undecided {
  serve(protocol: 'http1' | 'http2', first: Buffer): void;
}

/**
 * Dials and relays octets.
 * @param done called once, when the connection has ended or could not be made; it returns true when it goes on with the
 * stream itself
 * @param undecided the client has been silent: it may still be HTTP. null: its octets pass without a look
 */
export function joinTcp(
  deps: OutboundDeps,
  stream: ByteStream,
  first: Buffer,
  target: DialTarget,
  ref: ServicePortRef,
  done: (failed: boolean) => boolean,
  undecided: Undecided | null = null,
): void {
  const { proxy, credentials, wallClock, log } = deps;
  const { address, port, identity, connectTimeoutMs } = target;
  const to = { address, port, identity, connectTimeoutMs, localAddress: deps.hairpin(address) };
  const connection = { origin: proxy.origin, service: ref, endpoint: target };
  const giveUp = dial(to, ALPN_TCP, credentials, proxy.clock, wallClock, {
    onOpen: (other) => {
      let isJoined = false;
      const join = (octets: Buffer): void => {
        isJoined = true;
        const ended = deps.tcp.opened(connection);
        relay(stream, other, octets, (sent, received) => {
          done(false);
          ended(sent, received);
        });
      };
      if (undecided === null) join(first);
      else {
        joinUndecided(stream, other, deps.timers, {
          join,
          serve: (protocol, octets) => {
            done(false);
            undecided.serve(protocol, octets);
          },
          refused: (reason) => {
            if (!isJoined) done(false);
            other.reset();
            refuseNotHttp2(deps, stream, ref, reason);
          },
        });
      }
      other.start();
      stream.resume();
    },
    onError: (failure, detail) => {
      stream.onClosed = () => {};
      proxy.stats.proxyError(failure);
      log.info('TCP connection failed', { service: ref.key, error: failure, detail });
      // Where the fault is ours no endpoint is blamed, and no other one is tried.
      if (done(failure !== 'own_certificate_expired')) return;
      deps.tcp.failed(connection, failure, detail);
      // An end would read as an empty answer.
      stream.reset();
    },
  });
  stream.onClosed = () => {
    giveUp();
    done(false);
  };
}

/** Refuses a connection that is not the HTTP/2 that it must be, or that it began as. */
export function refuseNotHttp2(deps: OutboundDeps, stream: ByteStream, ref: ServicePortRef, reason: string): void {
  refuseConnection(deps, deps.proxy, stream, ref, NOT_HTTP2, reason);
}

/** Joins a connection to where it was going, untouched: neither balanced nor encrypted. */
export function passThrough(deps: OutboundDeps, stream: ByteStream, first: Buffer, to: OriginalDestination): void {
  stream.pause();
  joinTcp(deps, stream, first, { ...to, identity: '', connectTimeoutMs: OUTSIDE_CONNECT_MS }, PASSED_THROUGH, () => false);
}
