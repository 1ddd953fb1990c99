// One connection of the application to an address that is no Service's: a pod, an endpoint of a headless Service, or
// the world outside. Routes do not apply to it.
import { DownstreamOwner } from '../forward/downstream.ts';
import { OWN_APPLICATION } from '../http2/peer.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { readyWhen } from './config-wait.ts';
import type { CapturedOutboundDeps } from './deps.ts';
import type { DirectPort } from './direct-ports.ts';
import { joinTcp, passThrough } from './join-tcp.ts';

export class DirectHandler implements ConnectionHandler {
  private readonly deps: CapturedOutboundDeps;
  private readonly to: OriginalDestination;
  /** null: the connection passes as it is. */
  private direct: DirectPort | null = null;
  /** Called when another pod has got the address. */
  private gone: () => void = () => {};

  constructor(deps: CapturedOutboundDeps, to: OriginalDestination) {
    this.deps = deps;
    this.to = to;
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    const { deps, to } = this;
    if (!deps.connected() && !deps.directs.knows(to.address)) return ready();
    readyWhen(ready, (done) =>
      deps.directs.find(to, deps.proxy.clock.nowMs, (direct) => {
        this.direct = direct;
        if (direct !== null) this.use(stream);
        done();
      }),
    );
  }

  assumed(): 'tcp' | null {
    return this.direct === null || this.deps.isOpaque(this.to.port) ? 'tcp' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.deps.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: 'tls' | 'http2' | 'tcp', first: Buffer): void {
    const { deps, direct, to } = this;
    if (direct === null) return passThrough(deps, stream, first, to);
    if (protocol === 'http2') {
      const owner = new DownstreamOwner(deps.proxy, direct.handle, (_connection, reason) => deps.closed(reason));
      const connection = deps.connections.serve(stream, first, owner, OWN_APPLICATION);
      // Without us the connection would end with its pod: the client must look for another address, not fail on this
      // one for ever.
      this.gone = () => connection.drain(Number.POSITIVE_INFINITY);
      return;
    }
    stream.pause();
    joinTcp(deps, stream, first, { ...to, identity: direct.identity }, direct.ref, () => false);
  }

  private use(stream: ByteStream): void {
    if (stream.socket.destroyed) return;
    const { deps, to } = this;
    this.gone = () => stream.reset();
    const ended = deps.directs.use(to.address, () => this.gone());
    stream.socket.once('close', () => ended(deps.proxy.clock.nowMs));
  }
}
