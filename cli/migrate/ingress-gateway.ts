// The Gateway that takes the place of an Ingress controller's address for one namespace and class. Pure.
import { type Draft, GATEWAY_API, Notes } from './draft.ts';
import { listenerOf, type ReadIngress } from './ingress-source.ts';
import { sourceName } from './sources.ts';

export interface GatewayHost {
  /** '' for all. */
  readonly host: string;
  readonly secret: string;
}

const MOST_LISTENERS = 64;
const CERT_MANAGER = /^(?:cert-manager\.io|acme\.cert-manager\.io)\//;

export function gatewayDraft(name: string, gatewayClass: string, group: readonly ReadIngress[], hosts: readonly GatewayHost[]): Draft {
  const { namespace } = group[0].source;
  const notes = new Notes();
  const listeners = [
    { name: 'http', protocol: 'HTTP', port: 80 },
    ...hosts.map(({ host, secret }) => ({
      name: listenerOf(host),
      protocol: 'HTTPS',
      port: 443,
      hostname: host === '' ? undefined : host,
      tls: { mode: 'Terminate', certificateRefs: [{ name: secret }] },
    })),
  ];
  if (listeners.length > MOST_LISTENERS)
    notes.differs(`it has ${listeners.length} listeners, of which a Gateway may have ${MOST_LISTENERS}: put the others into a ListenerSet`);
  const annotations = certManagerAnnotations(group, notes);
  const frontend = frontendOf(group, notes);
  return {
    object: {
      apiVersion: GATEWAY_API,
      kind: 'Gateway',
      metadata: { name, namespace, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) },
      spec: { gatewayClassName: gatewayClass, listeners, tls: frontend },
    },
    from: group.map(({ source }) => sourceName(source)),
    notes: notes.all,
  };
}

/** cert-manager reads the same annotations on a Gateway. */
function certManagerAnnotations(group: readonly ReadIngress[], notes: Notes): Record<string, string> {
  const merged: Record<string, string> = {};
  for (const { source } of group) {
    for (const [key, value] of Object.entries(source.annotations)) {
      if (!CERT_MANAGER.test(key)) continue;
      if (key in merged && merged[key] !== value)
        notes.leftOut(`${key}: "${value}" of ${sourceName(source)}: another Ingress of this Gateway says "${merged[key]}"`);
      else merged[key] = value;
    }
  }
  return merged;
}

/** Certificates of clients: the Gateway API asks for them by port, not by host. */
function frontendOf(group: readonly ReadIngress[], notes: Notes): object | undefined {
  const asking = group.filter(({ behaviour }) => behaviour.clientCa !== undefined);
  if (asking.length === 0) return undefined;
  const { namespace } = group[0].source;
  const { secret, isOptional } = asking[0].behaviour.clientCa!;
  const [where, name] = secret.includes('/') ? secret.split('/') : [namespace, secret];
  notes.differs(
    `auth-tls-secret of ${sourceName(asking[0].source)}: on a Gateway it holds for every host of port 443. It wants a ConfigMap with ca.crt, made of that of Secret ${where}/${name}`,
  );
  for (const { source, behaviour } of asking.slice(1))
    if (behaviour.clientCa!.secret !== secret) notes.leftOut(`auth-tls-secret of ${sourceName(source)}: a port has one set of authorities`);
  const caCertificateRefs = [{ group: '', kind: 'ConfigMap', name, namespace: where === namespace ? undefined : where }];
  const validation = { caCertificateRefs, mode: isOptional ? 'AllowInsecureFallback' : undefined };
  return { frontend: { default: { validation } } };
}
