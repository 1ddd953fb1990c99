// One connection of the application to an address that is no Service's, as far as is known: a pod, an endpoint of a
// headless Service, or the world outside. Routes do not apply to it.
import { DownstreamOwner } from '../forward/downstream.ts';
import { NO_CONFIG } from '../forward/errors.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import type { ServedConnection } from '../http/connection.ts';
import { OWN_APPLICATION } from '../http/peer.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome, Spoken } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { refuseConnection } from '../tcp/refuse.ts';
import type { CapturedOutboundDeps } from './deps.ts';
import { type DirectPort, refOfAddress } from './direct-ports.ts';
import { joinTcp, passThrough, refuseNotHttp2, type Undecided } from './join-tcp.ts';

/**
 * 'passes': it goes on as it is, because no sidecar is there. `refused`: what is at the place could not be found out, for
 * this reason; in plaintext it might carry what was always encrypted, or pass routes by.
 */
export type FoundAt = DirectPort | 'passes' | { readonly refused: string; readonly place: string };

export class DirectHandler implements ConnectionHandler {
  private readonly deps: CapturedOutboundDeps;
  private readonly to: OriginalDestination;
  private readonly found: FoundAt;
  /** Called when another pod has got the address. */
  private gone: () => void = () => {};

  constructor(deps: CapturedOutboundDeps, to: OriginalDestination, found: FoundAt) {
    this.deps = deps;
    this.to = to;
    this.found = found;
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    if (this.found !== 'passes' && 'ref' in this.found) this.use(stream);
    ready();
  }

  assumed(): 'tcp' | null {
    const { found } = this;
    if (found !== 'passes' && 'refused' in found) return null;
    return found === 'passes' || found.isOpaque || this.deps.isOpaque(this.to.port, false) ? 'tcp' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.deps.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    const { deps, found, to } = this;
    if (found === 'passes') return passThrough(deps, stream, first, to);
    if ('refused' in found) return this.refuse(stream, protocol, first, found.refused, found.place);
    if (protocol === 'http1' || protocol === 'http2') return this.serve(protocol, stream, first, found);
    stream.pause();
    const undecided: Undecided | null =
      protocol === 'silent' ? { serve: (spoken, octets) => this.serve(spoken, stream, octets, found) } : null;
    joinTcp(deps, stream, first, { ...to, identity: found.identity }, found.ref, () => false, undecided);
  }

  onRefused(stream: ByteStream, reason: string): void {
    refuseNotHttp2(this.deps, stream, refOfAddress(this.to), reason);
  }

  private serve(protocol: 'http1' | 'http2', stream: ByteStream, first: Buffer, { handle }: DirectPort): void {
    const connection = this.serveBy(protocol, stream, first, handle);
    // Without us the connection would end with its pod: the client must look for another address, not fail on this one
    // for ever.
    this.gone = () => connection.drain(Number.POSITIVE_INFINITY);
  }

  private serveBy(
    protocol: 'http1' | 'http2',
    stream: ByteStream,
    first: Buffer,
    handle: PortHandle,
    proxy = this.deps.proxy,
  ): ServedConnection {
    const { deps } = this;
    const owner = new DownstreamOwner(proxy, handle, (_connection, reason) => deps.closed(reason));
    return deps.connections.serve(protocol, stream, first, owner, OWN_APPLICATION);
  }

  /** Answers calls with the reason; other octets have no place for it. */
  private refuse(stream: ByteStream, protocol: Spoken, first: Buffer, reason: string, place: string): void {
    const { deps, to } = this;
    if (protocol !== 'http1' && protocol !== 'http2')
      return refuseConnection(deps, deps.proxy, stream, refOfAddress(to), NO_CONFIG.label, reason);
    const connection = this.serveBy(protocol, stream, first, { current: null }, { ...deps.proxy, missing: reason });
    // The client's next connection is served as it must be.
    const stop = deps.directs.whoIs(place, deps.proxy.clock.nowMs, () => connection.drain(Number.POSITIVE_INFINITY));
    stream.socket.once('close', stop);
  }

  private use(stream: ByteStream): void {
    if (stream.socket.destroyed) return;
    const { deps, to } = this;
    this.gone = () => stream.reset();
    const ended = deps.directs.use(to.address, () => this.gone());
    stream.socket.once('close', () => ended(deps.proxy.clock.nowMs));
  }
}
