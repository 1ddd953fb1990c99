// The old objects of a migration, by kind, as they stand in manifests or come from `kubectl get -o yaml`. Pure.
import { entriesOf, fieldsOf, isMap, textOf } from '#objects/fields.ts';

/** An object of any kind, whose parts may be anything. */
export interface SourceObject {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Sources {
  readonly ingresses: readonly SourceObject[];
  readonly virtualServices: readonly SourceObject[];
  readonly destinationRules: readonly SourceObject[];
  readonly istioGateways: readonly SourceObject[];
  /** "namespace/name" → Service. */
  readonly services: ReadonlyMap<string, SourceObject>;
  /** Objects of other kinds, which are nothing to migrate. */
  readonly others: number;
}

/** API group and kind, whatever the version. */
const INGRESS = 'networking.k8s.io/Ingress';
const ISTIO = 'networking.istio.io';

/**
 * @param values documents; lists are gone through
 * @param namespace of objects that name none
 */
export function sourcesOf(values: readonly unknown[], namespace: string): Sources {
  const byKind = new Map<string, SourceObject[]>();
  for (const { type, object } of values.flatMap((value) => objectsIn(value, namespace)))
    byKind.set(type, [...(byKind.get(type) ?? []), object]);
  const take = (type: string): SourceObject[] => {
    const found = byKind.get(type) ?? [];
    byKind.delete(type);
    return found;
  };
  const services = new Map(take('/Service').map((service) => [`${service.namespace}/${service.name}`, service]));
  return {
    ingresses: take(INGRESS),
    virtualServices: take(`${ISTIO}/VirtualService`),
    destinationRules: take(`${ISTIO}/DestinationRule`),
    istioGateways: take(`${ISTIO}/Gateway`),
    services,
    others: [...byKind.values()].reduce((sum, objects) => sum + objects.length, 0),
  };
}

function objectsIn(value: unknown, namespace: string): { type: string; object: SourceObject }[] {
  if (!isMap(value)) return [];
  const kind = textOf(value.kind) ?? '';
  if (kind.endsWith('List') && Array.isArray(value.items)) return value.items.flatMap((item) => objectsIn(item, namespace));
  const apiVersion = textOf(value.apiVersion) ?? '';
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const metadata = fieldsOf(value.metadata as Record<string, unknown>);
  const annotations = Object.entries(fieldsOf(metadata.annotations as Record<string, unknown>));
  const object = {
    kind,
    name: textOf(metadata.name) ?? '(without a name)',
    namespace: textOf(metadata.namespace) || namespace,
    annotations: Object.fromEntries(annotations.filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
    spec: fieldsOf(value.spec as Record<string, unknown>),
  };
  return [{ type: `${group}/${kind}`, object }];
}

/** The maps of a list; of anything else: none. */
export function mapsOf(value: unknown): readonly Record<string, unknown>[] {
  return entriesOf(value as readonly unknown[]).filter(isMap);
}

/** The texts of a list; of anything else: none. */
export function textsOf(value: unknown): readonly string[] {
  return entriesOf(value as readonly unknown[]).flatMap((each) => textOf(each) ?? []);
}

/** "Ingress shop/web" */
export function sourceName({ kind, namespace, name }: SourceObject): string {
  return `${kind} ${namespace}/${name}`;
}

/** Letters, digits and dashes of a host, for the name of an object: "*.shop.example" → "any-shop-example". */
export function slugOf(host: string): string {
  return host === ''
    ? 'all'
    : host
        .toLowerCase()
        .replaceAll('*', 'any')
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-+|-+$/g, '');
}

const LONGEST_NAME = 63;

/** A name of an object made of parts, cut to what the API takes everywhere. */
export function joinName(...parts: readonly string[]): string {
  return parts
    .filter((part) => part !== '')
    .join('-')
    .slice(0, LONGEST_NAME)
    .replace(/[-.]+$/, '');
}

/** The port of a Service by name or, where it has but one, without; undefined: it is not known here. */
export function servicePortOf(service: SourceObject | undefined, name?: string): number | undefined {
  const ports = mapsOf(service?.spec.ports);
  const found = name === undefined ? (ports.length === 1 ? ports[0] : undefined) : ports.find((port) => port.name === name);
  return typeof found?.port === 'number' ? found.port : undefined;
}

/** The gRPC service and method of a path "/service/method" or "/service"; null: it is of another form. */
export function grpcMethodOf(path: string): { readonly service: string; readonly method?: string } | null {
  const [, service, method] = /^\/([A-Za-z0-9_.]+)(?:\/([A-Za-z0-9_]*))?$/.exec(path) ?? [];
  return service === undefined ? null : { service, method: method || undefined };
}

/** Whether a port of a Service says that gRPC is spoken on it. */
export function speaksGrpc(service: SourceObject | undefined, port: number): boolean {
  const found = mapsOf(service?.spec.ports).find((each) => each.port === port);
  return (
    (textOf(found?.appProtocol) ?? textOf(found?.name) ?? '').toLowerCase().startsWith('grpc') && !/^grpc-web/.test(String(found?.name))
  );
}
