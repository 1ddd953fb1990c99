// One connection of the application to a place that is a Service's without being its ClusterIP: the address of its load
// balancer, one of externalIPs, or a node port. kube-proxy serves these on every node, so they are for the Service's
// routes and mTLS too.
import type { PodAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome, Spoken } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { readyWhen } from './config-wait.ts';
import type { CapturedOutboundDeps } from './deps.ts';
import { DirectHandler } from './direct-handler.ts';

export class ElsewhereHandler implements ConnectionHandler {
  private readonly deps: CapturedOutboundDeps;
  private readonly to: OriginalDestination;
  private readonly by: 'outside' | 'node';
  private readonly service: () => ConnectionHandler;
  /** What serves the connection; while nothing is known of the address, what is likely. */
  private inner: ConnectionHandler;

  /**
   * @param by 'outside': the Service claims the address. An author of a Service may claim any in externalIPs, also that
   * of somebody's pod (CVE-2020-8554), which stays the pod's. 'node': the port is a node port, if the address is a
   * node's; where that cannot be found out, it is an address like others
   * @param service makes the handler of the Service's port
   */
  constructor(deps: CapturedOutboundDeps, to: OriginalDestination, by: 'outside' | 'node', service: () => ConnectionHandler) {
    this.deps = deps;
    this.to = to;
    this.by = by;
    this.service = service;
    this.inner = by === 'outside' ? service() : new DirectHandler(deps, to);
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    const { deps, to } = this;
    readyWhen(
      deps.timers,
      () => this.inner.onAccept(stream, ready),
      (done) => {
        let isKnown = false;
        const stop = deps.directs.whoIs(to.address, deps.proxy.clock.nowMs, (answer) => {
          isKnown = true;
          this.decide(answer);
          done();
        });
        if (isKnown || deps.connected()) return stop;
        // What was known last would have come at once.
        stop();
        done();
        return stop;
      },
    );
  }

  private decide({ pod, node }: PodAddress): void {
    if (this.by === 'node') this.inner = node ? this.service() : this.inner;
    else if (pod !== '') this.inner = new DirectHandler(this.deps, this.to);
  }

  assumed(): 'tcp' | 'http2' | null {
    return this.inner.assumed();
  }

  detected(outcome: DetectionOutcome): void {
    this.inner.detected?.(outcome);
  }

  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    this.inner.onProtocol(stream, protocol, first);
  }

  onRefused(stream: ByteStream, reason: string): void {
    this.inner.onRefused?.(stream, reason);
  }
}
