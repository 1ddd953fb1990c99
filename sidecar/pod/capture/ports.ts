// The two ports to which the pod's rules redirect connections; the side that serves each is found by where it was
// going.
import os from 'node:os';
import { SIDECAR_CHECK_PORT, SIDECAR_INBOUND_PORT, SIDECAR_OUTBOUND_PORT } from '#core/contract/names.ts';
import type { Clock } from '../../http/clock.ts';
import type { ByteStream } from '../../link/byte-stream.ts';
import { connectPlain } from '../../link/dial.ts';
import type { ConnectionHandler } from '../../link/listener.ts';
import { ListenerSet } from '../../link/listener-set.ts';
import { type OriginalDestination, originalDestination, originalDestinationProblem } from '../../link/original-dst.ts';
import { CAPTURE_ANSWER, checkCapture } from './check.ts';

export interface CapturedPortsSettings {
  /** The pod's addresses, the primary one first. */
  readonly podIps: readonly string[];
  /** Whether the node agent loads the rules; else this container has. */
  readonly byAgent: boolean;
}

/** What serves redirected connections, by their direction. @param to where the connection was going */
export interface CapturedSides {
  outbound(to: OriginalDestination): ConnectionHandler;
  inbound(to: OriginalDestination): ConnectionHandler;
}

const LOOPBACK = '127.0.0.1';
const LOOPBACK_V6 = '::1';

export class CapturedPorts {
  private readonly settings: CapturedPortsSettings;
  private readonly listeners: ListenerSet;
  private readonly sides: CapturedSides;

  constructor(settings: CapturedPortsSettings, clock: Clock, sides: CapturedSides) {
    this.settings = settings;
    this.listeners = new ListenerSet(clock);
    this.sides = sides;
  }

  /**
   * Opens the two ports, and makes sure that connections are redirected to them.
   * @returns what is not as it must be, and why
   */
  async open(): Promise<string[]> {
    const problems = await this.listen();
    const podAddress = this.settings.podIps[0];
    if (problems.length > 0 || podAddress === undefined) return problems;
    const { byAgent } = this.settings;
    const problem = await checkCapture({ podAddress, inboundPort: SIDECAR_INBOUND_PORT, byAgent, connect: connectPlain });
    return problem === '' ? [] : [problem];
  }

  private async listen(): Promise<string[]> {
    const problem = originalDestinationProblem();
    if (problem !== '') return [problem];
    const hasV6 = this.settings.podIps.some((address) => address.includes(':'));
    const listener = (what: string, address: string, port: number, serve: (to: OriginalDestination) => ConnectionHandler | null) => ({
      key: `captured ${what} ${address}:${port}`,
      address,
      port,
      handler: () => (socket: Parameters<typeof originalDestination>[0]) => {
        const to = originalDestination(socket);
        // It was not redirected: a connection to our own ports is not served, or we would forward to ourselves.
        if (to === null || to.port === SIDECAR_INBOUND_PORT || to.port === SIDECAR_OUTBOUND_PORT) return null;
        return serve(to);
      },
    });
    const outbound = (to: OriginalDestination) => this.sides.outbound(to);
    return this.listeners.become([
      listener('inbound', hasV6 ? '::' : '0.0.0.0', SIDECAR_INBOUND_PORT, (to) => {
        if (!isOwnAddress(to.address, this.settings.podIps)) return null;
        return to.port === SIDECAR_CHECK_PORT ? new CheckHandler() : this.sides.inbound(to);
      }),
      // Redirection of what the pod itself sends goes to loopback.
      listener('outbound', LOOPBACK, SIDECAR_OUTBOUND_PORT, outbound),
      ...(hasV6 ? [listener('outbound', LOOPBACK_V6, SIDECAR_OUTBOUND_PORT, outbound)] : []),
    ]);
  }

  /** Takes no new connections; those that are open stay. */
  close(): void {
    this.listeners.close();
  }

  /**
   * A call to our own pod must pass its inbound side too, as one from elsewhere does. Of the sidecar's connections the
   * rules redirect only those that come from loopback and go elsewhere (rules.ts): so we come from there.
   * @returns the address to come from; undefined: it is another pod
   */
  hairpin(address: string): string | undefined {
    if (!this.settings.podIps.includes(address)) return undefined;
    return address.includes(':') ? LOOPBACK_V6 : LOOPBACK;
  }
}

/**
 * Whether a connection that came in may be for us. Redirection comes before the kernel drops what is not: a neighbour
 * on the pod's network can send packets for any address, and we would dial it in its stead, past the network policies
 * that hold for it.
 * @param podIps as Kubernetes knows them; further interfaces of a pod have addresses that it does not know
 */
export function isOwnAddress(
  address: string,
  podIps: readonly string[],
  interfaces: () => ReturnType<typeof os.networkInterfaces> = os.networkInterfaces,
): boolean {
  if (podIps.includes(address)) return true;
  return Object.values(interfaces()).some((each) => each?.some((own) => !own.internal && own.address === address));
}

/** Answers our own question whether the rules are in force (check.ts): what gets this answer was redirected. */
class CheckHandler implements ConnectionHandler {
  onAccept(stream: ByteStream): void {
    stream.write(Buffer.from(CAPTURE_ANSWER), () => {});
    stream.end();
    stream.start();
  }

  assumed(): null {
    return null;
  }

  onProtocol(): void {}
}
