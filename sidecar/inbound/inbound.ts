// The inbound side: the ports of this pod's application, by explicit listeners and by redirected connections, and the
// beginning of STRICT.
import { type InboundPort, Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { ConnectionHandler } from '../link/listener.ts';
import { ListenerSet } from '../link/listener-set.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { AppPortHandler, type PlaintextConnections } from './app-port.ts';
import type { InboundDeps } from './deps.ts';

/** Ports whose records are kept without a connection to them: a scan of all ports must not cost a record each. */
export const MOST_IDLE_PORTS = 64;

export class Inbound {
  private readonly deps: InboundDeps;
  private readonly listeners: ListenerSet;
  /** Ports that redirected connections were for, by "address:port"; the one used last stands last. */
  private readonly captured = new Map<string, AppPortHandler>();
  private readonly plaintext: PlaintextConnections = new Map();

  constructor(deps: InboundDeps) {
    this.deps = deps;
    this.listeners = new ListenerSet(deps.proxyFor('').clock);
  }

  /** STRICT begins: connections in plaintext that are open end, too. */
  endPlaintext(): void {
    for (const end of this.plaintext.values()) end();
  }

  /** The handler of a connection that was redirected to us. @param to where it was going */
  capturedHandler({ address, port }: OriginalDestination): ConnectionHandler {
    const key = `${address}:${port}`;
    let handler = this.captured.get(key);
    if (handler === undefined) {
      const protocol = this.deps.isOpaque(port) ? Protocol.TCP : Protocol.UNSPECIFIED;
      handler = new AppPortHandler(this.deps, this.plaintext, { port, appAddress: address, protocol }, key);
    }
    this.captured.delete(key);
    this.forgetIdlePorts();
    this.captured.set(key, handler);
    return handler;
  }

  /**
   * Opens and closes explicit listeners so that they are those of the list.
   * @returns what could not be opened, and why
   */
  setListeners(ports: readonly InboundPort[]): Promise<string[]> {
    return this.listeners.become(
      ports
        .filter(({ listenAddress }) => listenAddress !== '')
        .map((at) => ({
          key: `inbound ${at.listenAddress}:${at.port} to ${at.appAddress} ${at.protocol}`,
          address: at.listenAddress,
          port: at.port,
          handler: () =>
            new AppPortHandler(this.deps, this.plaintext, this.deps.isOpaque(at.port) ? { ...at, protocol: Protocol.TCP } : at),
        })),
    );
  }

  /** Takes no new connections; those that are open stay. */
  close(): void {
    this.listeners.close();
  }

  private forgetIdlePorts(): void {
    for (const [key, handler] of this.captured) {
      if (this.captured.size < MOST_IDLE_PORTS) return;
      if (handler.connections > 0) continue;
      this.captured.delete(key);
      handler.forget();
    }
  }
}
