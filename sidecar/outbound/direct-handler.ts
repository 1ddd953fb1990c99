// One connection of the application to an address that is no Service's: a pod, an endpoint of a headless Service, or
// the world outside. Routes do not apply to it.
import { DownstreamOwner } from '../forward/downstream.ts';
import { NO_CONFIG } from '../forward/errors.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import type { ServedConnection } from '../http/connection.ts';
import { OWN_APPLICATION } from '../http/peer.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome, Spoken } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { refuseConnection } from '../tcp/refuse.ts';
import { CONFIG_WAIT_MS, readyWhen } from './config-wait.ts';
import type { CapturedOutboundDeps } from './deps.ts';
import { type DirectPort, refOfAddress } from './direct-ports.ts';
import { joinTcp, passThrough, refuseNotHttp2, type Undecided } from './join-tcp.ts';

export class DirectHandler implements ConnectionHandler {
  private readonly deps: CapturedOutboundDeps;
  private readonly to: OriginalDestination;
  /**
   * 'passes': it goes on as it is, because no sidecar is there. 'unknown': whether one is there could not be found out,
   * so that the connection is refused; in plaintext it might carry what was always encrypted.
   */
  private found: DirectPort | 'passes' | 'unknown';
  /** Called when another pod has got the address. */
  private gone: () => void = () => {};

  constructor(deps: CapturedOutboundDeps, to: OriginalDestination) {
    this.deps = deps;
    this.to = to;
    this.found = deps.isOutside(to.address) ? 'passes' : 'unknown';
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    const { deps, to } = this;
    // With the control plane away the world outside is not kept waiting for its answer.
    if (this.found === 'passes' && !deps.connected() && !deps.directs.knows(to.address)) return ready();
    readyWhen(deps.timers, ready, (done) =>
      deps.directs.find(to, deps.proxy.clock.nowMs, (direct) => {
        if (direct !== null) {
          this.found = direct;
          this.use(stream);
        } else if (!this.isServiceByNow()) this.found = 'passes';
        done();
      }),
    );
  }

  assumed(): 'tcp' | null {
    const { found } = this;
    if (found === 'unknown') return null;
    return found === 'passes' || found.isOpaque || this.deps.isOpaque(this.to.port, false) ? 'tcp' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.deps.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    const { deps, found, to } = this;
    if (found === 'passes') return passThrough(deps, stream, first, to);
    if (found === 'unknown') return this.refuse(stream, protocol, first);
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
  private refuse(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    const { deps, to } = this;
    const why = deps.connected() ? '' : ', because the control plane is away';
    const reason = `whether there is a sidecar at ${to.address} was not known after ${CONFIG_WAIT_MS} ms${why}`;
    if (protocol !== 'http1' && protocol !== 'http2')
      return refuseConnection(deps, deps.proxy, stream, refOfAddress(to), NO_CONFIG.label, reason);
    const connection = this.serveBy(protocol, stream, first, { current: null }, { ...deps.proxy, missing: reason });
    // The client's next connection is served as it must be.
    const stop = deps.directs.find(to, deps.proxy.clock.nowMs, () => connection.drain(Number.POSITIVE_INFINITY));
    stream.socket.once('close', stop);
  }

  /** The index of Services may have come after the connection. */
  private isServiceByNow(): boolean {
    const { addresses } = this.deps;
    return addresses.at(this.to.address)?.ports.includes(this.to.port) ?? false;
  }

  private use(stream: ByteStream): void {
    if (stream.socket.destroyed) return;
    const { deps, to } = this;
    this.gone = () => stream.reset();
    const ended = deps.directs.use(to.address, () => this.gone());
    stream.socket.once('close', () => ended(deps.proxy.clock.nowMs));
  }
}
