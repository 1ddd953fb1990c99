// One connection of the application to a port that a Service does not have: nothing listens there.
import { NO_ENDPOINTS } from '../forward/errors.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { newServicePortRef } from '../route/service-port.ts';
import { refuseConnection } from '../tcp/refuse.ts';
import type { IndexedService } from './address-index.ts';
import type { OutboundDeps } from './deps.ts';

/** Ports that the reason names. */
const MOST_NAMED = 10;

export class ClosedPortHandler implements ConnectionHandler {
  private readonly deps: OutboundDeps;
  private readonly service: IndexedService;
  private readonly to: OriginalDestination;

  constructor(deps: OutboundDeps, service: IndexedService, to: OriginalDestination) {
    this.deps = deps;
    this.service = service;
    this.to = to;
  }

  /** Refused before it is read, as near to a refused connect as a captured connection comes. */
  onAccept(stream: ByteStream): void {
    const { deps, to } = this;
    const { namespace, name, ports } = this.service;
    const named = `${ports.slice(0, MOST_NAMED).join(', ')}${ports.length > MOST_NAMED ? ', …' : ''}`;
    const reason = `Service ${namespace}/${name} has no TCP port ${to.port}: it has ${named || 'none'}`;
    refuseConnection(deps, deps.proxy, stream, newServicePortRef(namespace, name, to.port), NO_ENDPOINTS.label, reason, 'debug');
  }

  assumed(): null {
    return null;
  }

  onProtocol(): void {}
}
