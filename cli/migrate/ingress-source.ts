// Ingresses, read once: paths with the numbers of their backends' ports, certificates, and what annotations ask for. Pure.
import { fieldsOf, isMap, textOf } from '#objects/fields.ts';
import { Notes } from './draft.ts';
import { type NginxBehaviour, readNginx } from './ingress-annotations.ts';
import { joinName, mapsOf, type SourceObject, type Sources, servicePortOf, slugOf, textsOf } from './sources.ts';

export interface BackendRef {
  readonly name: string;
  readonly port: number;
  readonly weight?: number;
}

/** A path of an Ingress with its one backend. */
export interface IngressPath {
  readonly host: string;
  readonly path: string;
  readonly pathType: string;
  readonly backend: BackendRef;
}

/** An Ingress, read once. */
export interface ReadIngress {
  readonly source: SourceObject;
  readonly className: string;
  readonly behaviour: NginxBehaviour;
  readonly paths: readonly IngressPath[];
  /** Of requests that no path takes. */
  readonly fallback: BackendRef | undefined;
  /** Host → name of the Secret; '' holds for all hosts. */
  readonly certificates: ReadonlyMap<string, string>;
  readonly notes: Notes;
}

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';

export function readIngress(source: SourceObject, services: Sources['services']): ReadIngress {
  const notes = new Notes();
  const { spec, annotations, namespace } = source;
  const certificates = new Map<string, string>();
  for (const entry of mapsOf(spec.tls)) {
    const secret = textOf(entry.secretName) ?? '';
    const hosts = textsOf(entry.hosts);
    if (secret === '')
      notes.leftOut(`TLS of ${hosts.join(', ') || 'all hosts'} names no Secret: the controller's own certificate is not known here`);
    else for (const host of hosts.length === 0 ? [''] : hosts) certificates.set(host, secret);
  }
  const backendOf = (backend: unknown, where: string): BackendRef | undefined => {
    const service = fieldsOf(fieldsOf(backend as Record<string, unknown>).service as Record<string, unknown>);
    const name = textOf(service.name);
    if (name === undefined) {
      notes.leftOut(`the backend of ${where}: it is no Service`);
      return undefined;
    }
    const { number, name: portName } = fieldsOf(service.port as { number?: unknown; name?: unknown });
    const port = typeof number === 'number' ? number : servicePortOf(services.get(`${namespace}/${name}`), textOf(portName));
    if (port !== undefined) return { name, port };
    notes.leftOut(
      `the backend of ${where}: the number of port "${textOf(portName) ?? ''}" of Service ${name} is needed: give the Service too (kubectl get ingress,service -o yaml)`,
    );
    return undefined;
  };
  const paths = mapsOf(spec.rules).flatMap((rule) => {
    const host = textOf(rule.host) ?? '';
    return mapsOf(fieldsOf(rule.http as Record<string, unknown>).paths).flatMap((entry): IngressPath[] => {
      const path = textOf(entry.path) || '/';
      const backend = backendOf(entry.backend, `${host}${path}`);
      return backend === undefined ? [] : [{ host, path, pathType: textOf(entry.pathType) ?? 'ImplementationSpecific', backend }];
    });
  });
  return {
    source,
    className: textOf(spec.ingressClassName) ?? annotations[CLASS_ANNOTATION] ?? '',
    behaviour: readNginx(annotations, certificates.size > 0, notes),
    paths,
    fallback: isMap(spec.defaultBackend) ? backendOf(spec.defaultBackend, 'all else') : undefined,
    certificates,
    notes,
  };
}

/** The name of a host's HTTPS listener. */
export function listenerOf(host: string): string {
  return joinName('https', host === '' ? '' : slugOf(host));
}
