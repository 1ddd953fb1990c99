// The outbound side: what the application in this pod sends. HTTP/2 to Services is routed per request, anything else
// passes as TCP.
import type { OutboundListener } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { ConnectionHandler } from '../link/listener.ts';
import { ListenerSet } from '../link/listener-set.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { newServicePortRef } from '../route/service-port.ts';
import type { FoundPort } from './address-index.ts';
import { AskingHandler } from './asking-handler.ts';
import { ClosedPortHandler } from './closed-port-handler.ts';
import type { CapturedOutboundDeps, OutboundDeps } from './deps.ts';
import { ServiceHandler } from './service-handler.ts';

export class Outbound {
  private readonly deps: OutboundDeps;
  private readonly listeners: ListenerSet;

  constructor(deps: OutboundDeps) {
    this.deps = deps;
    this.listeners = new ListenerSet(deps.proxy.clock);
  }

  /**
   * Opens and closes explicit listeners so that they are those of the list.
   * @returns what could not be opened, and why
   */
  setListeners(listeners: readonly OutboundListener[]): Promise<string[]> {
    return this.listeners.become(
      listeners.map(({ address, port, namespace, service, servicePort }) => {
        const ref = newServicePortRef(namespace, service, servicePort);
        return {
          key: `outbound ${address}:${port} for ${ref.key}`,
          address,
          port,
          handler: () => () => new ServiceHandler(this.deps, ref, null),
        };
      }),
    );
  }

  /** Takes no new connections; those that are open stay. */
  close(): void {
    this.listeners.close();
  }
}

/** The handler of a connection that was redirected to us. @param to where it was going */
export function capturedOutbound(deps: CapturedOutboundDeps, to: OriginalDestination): ConnectionHandler {
  const atClusterIp = (): ConnectionHandler | null => clusterIpHandler(deps, to);
  return atClusterIp() ?? new AskingHandler(deps, to, { atClusterIp, at: (found) => serviceHandler(deps, found, to) });
}

function clusterIpHandler(deps: CapturedOutboundDeps, to: OriginalDestination): ConnectionHandler | null {
  const service = deps.addresses.at(to.address);
  if (service === undefined) return null;
  if (service.ports.includes(to.port)) return serviceHandler(deps, { service, port: to.port }, to);
  // It is the Service's address all the same, and only another port. What is known of it may be old while the control
  // plane is away.
  return deps.connected() ? new ClosedPortHandler(deps, service, to) : null;
}

function serviceHandler(deps: CapturedOutboundDeps, { service, port }: FoundPort, to: OriginalDestination): ServiceHandler {
  const ref = newServicePortRef(service.namespace, service.name, port);
  // With the control plane away, a Service with neither routes nor sidecars can be reached as without a mesh; any other
  // must wait for its rules.
  return new ServiceHandler(deps, ref, service.concerns ? null : to);
}
