// The ports of a Service that the mesh serves, and what is spoken on them.
import { Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { entriesOf, fieldsOf, portOf, textOf } from '#objects/fields.ts';
import type { Service, ServicePort } from '#objects/service.ts';

export interface MeshPort {
  readonly port: number;
  /** Empty where the Service has one unnamed port. */
  readonly name: string;
  /** UNSPECIFIED: nothing is declared, the sidecar looks at the first bytes. */
  readonly protocol: Protocol;
  /** As written; empty: none. */
  readonly appProtocol: string;
  /** The pod, "namespace/name", that says of its port there that it is opaque. */
  readonly opaqueBy?: string;
  /** 0: none. */
  readonly nodePort: number;
}

/**
 * Of values and name prefixes, as the field uses them: GEP-1911, KEP-1422 (IANA service names) and the prefixes that
 * Istio made usual.
 */
const PROTOCOLS: ReadonlyMap<string, Protocol> = new Map([
  ['kubernetes.io/h2c', Protocol.HTTP2],
  ['grpc', Protocol.HTTP2],
  ['h2c', Protocol.HTTP2],
  ['http2', Protocol.HTTP2],
  ['http', Protocol.HTTP1],
  ['kubernetes.io/ws', Protocol.HTTP1],
  ['tcp', Protocol.TCP],
  // TLS of the application itself is bytes to us.
  ['https', Protocol.TCP],
  ['tls', Protocol.TCP],
  ['kubernetes.io/wss', Protocol.TCP],
  // The server speaks first: waiting for the client's first bytes would hang.
  ['mysql', Protocol.TCP],
  ['postgresql', Protocol.TCP],
  ['postgres', Protocol.TCP],
  ['mongo', Protocol.TCP],
  ['redis', Protocol.TCP],
  ['smtp', Protocol.TCP],
]);

/**
 * The TCP ports of a Service in its order; UDP and SCTP pass the mesh by. Of two entries with one number the first
 * counts.
 */
export function meshPorts(service: Service): MeshPort[] {
  const ports: MeshPort[] = [];
  const isHeadless = frontendOf(service) === 'headless';
  for (const entry of entriesOf(fieldsOf(service.spec).ports)) {
    const { port, name, protocol, appProtocol, nodePort } = fieldsOf(entry);
    const number = portOf(port);
    if (number === undefined || (protocol ?? 'TCP') !== 'TCP' || ports.some((earlier) => earlier.port === number)) continue;
    ports.push({
      port: number,
      name: textOf(name) ?? '',
      protocol: protocolOf(fieldsOf(entry)),
      appProtocol: textOf(appProtocol) ?? '',
      nodePort: isHeadless ? 0 : (portOf(nodePort) ?? 0),
    });
  }
  return ports;
}

/**
 * appProtocol says it, or else the port's name: "grpc" and "grpc-anything". An appProtocol that is not known here
 * leaves it open.
 */
function protocolOf({ name, appProtocol }: Partial<ServicePort>): Protocol {
  const declared = textOf(appProtocol);
  if (declared) return PROTOCOLS.get(declared.toLowerCase()) ?? Protocol.UNSPECIFIED;
  const named = textOf(name)?.toLowerCase() ?? '';
  // gRPC-Web comes over HTTP/1.1 as well as HTTP/2.
  if (named === 'grpc-web' || named.startsWith('grpc-web-')) return Protocol.UNSPECIFIED;
  const dash = named.indexOf('-');
  return PROTOCOLS.get(dash === -1 ? named : named.slice(0, dash)) ?? Protocol.UNSPECIFIED;
}

/** A port of the Service, by number or name, that has another transport than TCP; that transport. */
export function otherTransport(service: Service, numberOrName: number | string): string | undefined {
  for (const entry of entriesOf(fieldsOf(service.spec).ports)) {
    const { port, name, protocol } = fieldsOf(entry);
    if ((port === numberOrName || name === numberOrName) && (protocol ?? 'TCP') !== 'TCP') return textOf(protocol);
  }
  return undefined;
}

/** What kind of frontend a Service is: only one with a ClusterIP can be the parent of a route (GEP-1294). */
export function frontendOf(service: Service): 'clusterIP' | 'headless' | 'externalName' {
  const { type, clusterIP, clusterIPs } = fieldsOf(service.spec);
  if (type === 'ExternalName') return 'externalName';
  return clusterIP === 'None' || entriesOf(clusterIPs).includes('None') ? 'headless' : 'clusterIP';
}

/** The ClusterIPs, the primary first; none for a headless Service or one that has none yet. */
export function clusterIPsOf(service: Service): string[] {
  const { clusterIP, clusterIPs } = fieldsOf(service.spec);
  const all = [clusterIP, ...entriesOf(clusterIPs)].flatMap((address) => textOf(address) || []);
  return [...new Set(all)].filter((address) => address !== 'None');
}

/** "ports 80 (http) and 7070 (grpc)", for messages. */
export function listPorts(ports: readonly MeshPort[]): string {
  if (ports.length === 0) return 'no TCP port';
  const texts = ports.slice(0, 10).map(({ port, name }) => (name === '' ? `${port}` : `${port} (${name})`));
  if (ports.length > 10) texts.push(`${ports.length - 10} more`);
  const last = texts.pop();
  return texts.length === 0 ? `port ${last}` : `ports ${texts.join(', ')} and ${last}`;
}
