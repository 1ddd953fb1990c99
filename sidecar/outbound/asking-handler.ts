// One connection of the application to an address of which it is not known what is there: the control plane is asked,
// and the connection is served by what it says. That is a Service (by its ClusterIP; by the address of its load balancer,
// one of externalIPs or a node port, which kube-proxy serves on every node), a pod, or the world outside.
import type { PodAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { nodePortPlace } from '#core/contract/places.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome, Spoken } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import type { FoundPort } from './address-index.ts';
import { CONFIG_WAIT_MS, readyWhen } from './config-wait.ts';
import type { CapturedOutboundDeps } from './deps.ts';
import { DirectHandler, type FoundAt } from './direct-handler.ts';

/** What makes the handlers of Services. */
export interface ServiceHandlers {
  /** Of the Service whose ClusterIP the address is; null: none is known. */
  atClusterIp(): ConnectionHandler | null;
  at(found: FoundPort): ConnectionHandler;
}

export class AskingHandler implements ConnectionHandler {
  private readonly deps: CapturedOutboundDeps;
  private readonly to: OriginalDestination;
  private readonly services: ServiceHandlers;
  /** What serves the connection; null: it is being found out. */
  private inner: ConnectionHandler | null = null;
  /** What is asked about: the address; once that is known to be a node's, the node port. */
  private place: string;
  private stopAsking: () => void = () => {};

  constructor(deps: CapturedOutboundDeps, to: OriginalDestination, services: ServiceHandlers) {
    this.deps = deps;
    this.to = to;
    this.services = services;
    this.place = to.address;
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    const { deps, to } = this;
    const serve = (): void => this.served().onAccept(stream, ready);
    readyWhen(deps.timers, serve, (done) => {
      this.ask(to.address, (answer) => this.decide(answer, done));
      // With the control plane away, what was known last would have come at once.
      if (this.inner === null && !deps.connected() && !this.isWorthWaiting()) {
        this.stopAsking();
        done();
      }
      return () => this.stopAsking();
    });
  }

  assumed(): 'tcp' | 'http2' | null {
    return this.served().assumed();
  }

  detected(outcome: DetectionOutcome): void {
    this.served().detected?.(outcome);
  }

  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    this.served().onProtocol(stream, protocol, first);
  }

  onRefused(stream: ByteStream, reason: string): void {
    this.served().onRefused?.(stream, reason);
  }

  private served(): ConnectionHandler {
    this.inner ??= this.withoutAnswer();
    return this.inner;
  }

  private ask(place: string, then: (answer: PodAddress) => void): void {
    const { directs, proxy } = this.deps;
    this.place = place;
    let isAnswered = false;
    const stop = directs.whoIs(place, proxy.clock.nowMs, (answer) => {
      isAnswered = true;
      then(answer);
    });
    if (!isAnswered) this.stopAsking = stop;
  }

  private decide(answer: PodAddress, done: () => void): void {
    const { deps, to, services } = this;
    const { addresses } = deps;
    const found = (handler: ConnectionHandler): void => {
      this.inner = handler;
      done();
    };
    const atClusterIp = services.atClusterIp();
    if (atClusterIp !== null) return found(atClusterIp);
    if (addresses.places.isClusterIp(to.address)) return found(this.unknownService());
    // An author of a Service may claim any address in externalIPs, also that of somebody's pod (CVE-2020-8554), which
    // stays the pod's.
    const outside = answer.pod === '' ? addresses.outsideAt(to.address, to.port) : undefined;
    if (outside !== undefined) return found(services.at(outside));
    if (answer.node && this.mayBeNodePort()) {
      const byNodePort = (): ConnectionHandler | null => {
        const port = addresses.ofNodePort(to.port);
        return port === undefined ? null : services.at(port);
      };
      const known = byNodePort();
      if (known !== null) return found(known);
      return this.ask(nodePortPlace(to.port), () => found(byNodePort() ?? this.direct(answer)));
    }
    return found(this.direct(answer));
  }

  /** No Service is there, as far as the answer goes: it may be older than the Service. */
  private direct(answer: PodAddress): ConnectionHandler {
    const { deps, to } = this;
    const { places } = deps.addresses;
    const isOld = answer.pod === '' && !deps.connected() && places.isElsewhere(to.address);
    if (isOld) return this.unknownService();
    return new DirectHandler(deps, to, deps.directs.portAt(to, answer) ?? 'passes');
  }

  private withoutAnswer(): ConnectionHandler {
    const { deps, to, services } = this;
    const { places } = deps.addresses;
    const outside = deps.addresses.outsideAt(to.address, to.port);
    if (outside !== undefined && !places.isClusterIp(to.address)) return services.at(outside);
    if (this.isServices()) return this.unknownService();
    if (deps.isOutside(to.address)) return new DirectHandler(deps, to, 'passes');
    return new DirectHandler(deps, to, this.refused(`whether there is a sidecar at ${to.address}`));
  }

  /**
   * A Service is there, and which one is not known. One with neither routes nor sidecars can be reached as without a
   * mesh; another would be passed by.
   */
  private unknownService(): ConnectionHandler {
    const { deps, to, place } = this;
    if (!deps.addresses.places.concerns(place)) return new DirectHandler(deps, to, 'passes');
    const where = place === to.address ? place : `node port ${to.port}`;
    return new DirectHandler(deps, to, this.refused(`which Service is at ${where}`));
  }

  private refused(what: string): FoundAt {
    const why = this.deps.connected() ? '' : ', because the control plane is away';
    return { refused: `${what} was not known after ${CONFIG_WAIT_MS} ms${why}`, place: this.place };
  }

  /** Whether the connection could not be served rightly without an answer, which may come within the wait. */
  private isWorthWaiting(): boolean {
    const { deps, to } = this;
    if (this.isServices()) return deps.addresses.places.concerns(this.place);
    return !deps.isOutside(to.address) && deps.addresses.outsideAt(to.address, to.port) === undefined;
  }

  private isServices(): boolean {
    const { places } = this.deps.addresses;
    return places.isClusterIp(this.place) || places.isElsewhere(this.place);
  }

  private mayBeNodePort(): boolean {
    const { addresses } = this.deps;
    return addresses.ofNodePort(this.to.port) !== undefined || addresses.places.isElsewhere(nodePortPlace(this.to.port));
  }
}
