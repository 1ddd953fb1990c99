// parentRefs that attach a route to nothing of the mesh, and were likely meant to. They are not ours to judge, so none
// of this becomes a status. Pure.
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { nearest } from '#core/text/nearest.ts';
import { printable, quote, sentence } from '#core/text/printable.ts';
import { entriesOf, fieldsOf, isAbsent, textOf } from '#objects/fields.ts';
import {
  GATEWAY_GROUP,
  isCoreGroup,
  keyOf,
  keyOfParent,
  namespaceOf,
  type ParentReference,
  parentServiceOf,
  splitKey,
} from '#objects/references.ts';
import type { Route } from '#objects/route.ts';
import type { ObjectView } from '../../store/object-store.ts';
import { MOST_PARENT_REFS } from './limits.ts';

/** What is asked about Services. */
export type ServiceNames = Pick<ObjectView, 'service' | 'serviceNamesIn' | 'namespacesOfService'>;

export interface NearParent {
  /** Position in spec.parentRefs. */
  readonly index: number;
  /** Key of the Service that was likely meant. It need not exist where the kind says that a Service was meant. */
  readonly service: string;
  /** One sentence, with the likely correction. */
  readonly message: string;
}

const LONGEST_MESSAGE = 512;
/** A status page has so many at most: of a thousand, the first few are enough to find the others. */
const MOST_PROBLEMS = 20;
/** How people write the core group, in lower case. Only "" is right (Weft also takes "core"). */
const CORE_SPELLINGS = new Set(['', 'core', 'v1', 'core/v1', '/v1', 'k8s.io', 'kubernetes.io', 'null', 'none']);
const SERVICE_SPELLINGS = new Set(['service', 'services', 'svc', 'v1/service']);

/**
 * The parentRefs of a route that nearly name a Service: its kind in another spelling, without the group that Services
 * have, or another kind of the name of a Service. One that another controller has taken in its status is meant so.
 */
export function nearParents(route: Route, services: ServiceNames): NearParent[] {
  const namespace = namespaceOf(route);
  const refs = entriesOf(fieldsOf(route.spec).parentRefs).slice(0, MOST_PARENT_REFS);
  return refs.flatMap((ref, index) => nearParent(ref, index, namespace, route, services) ?? []);
}

/** The same of many routes, as lines for people. */
export function nearParentProblems(routes: Iterable<Route>, services: ServiceNames): string[] {
  const problems: string[] = [];
  for (const route of routes) {
    for (const { message } of nearParents(route, services)) {
      if (problems.length === MOST_PROBLEMS) return [...problems, 'more routes have a parentRef that is likely a mistake'];
      const name = textOf(fieldsOf(route.metadata).name) ?? '';
      problems.push(`${printable(`${route.kind} ${keyOf(namespaceOf(route), name)}`)}: ${message}`);
    }
  }
  return problems;
}

function nearParent(
  ref: ParentReference | null,
  index: number,
  namespace: string,
  route: Route,
  services: ServiceNames,
): NearParent | undefined {
  // A Service that does not exist has a status, which says so.
  if (parentServiceOf(ref, namespace) !== undefined) return undefined;
  const { group, kind, name } = fieldsOf(ref);
  const named = textOf(name);
  if (ref === null || !named || isTaken(ref, namespace, route)) return undefined;
  const written = keyOf(textOf(ref.namespace) || namespace, named);
  const what = `parentRefs[${index}], ${quote(kind ?? 'Gateway')} ${quote(named)} of group ${groupText(group)}, is no parent in the mesh`;
  if (meansService(kind) && meansCore(group)) {
    const service = existing(written, services);
    const missing = service === undefined ? `; but there is no Service ${quote(written)} either` : '';
    const key = service ?? written;
    return said(index, key, `${what}: did you mean ${correction(ref, key, namespace, true)}?${missing}`);
  }
  if (services.service(written) === undefined) return undefined;
  const hint = `if Service ${quote(written)} is meant, write ${correction(ref, written, namespace, false)}`;
  return said(index, written, `${what}: ${hint}`);
}

function said(index: number, service: string, message: string): NearParent {
  return { index, service, message: sentence(message, LONGEST_MESSAGE) };
}

function groupText(group: unknown): string {
  return isAbsent(group) ? `${quote(GATEWAY_GROUP)} (its group is left out)` : quote(group);
}

/** Another controller has an entry for it in the route's status: it attaches, elsewhere. */
function isTaken(ref: ParentReference, namespace: string, { status }: Route): boolean {
  const key = keyOfParent(ref, namespace);
  return entriesOf(fieldsOf(status).parents).some((entry) => {
    const { controllerName, parentRef } = fieldsOf(entry);
    return controllerName !== CONTROLLER_NAME && keyOfParent(fieldsOf(parentRef), namespace) === key;
  });
}

function meansService(kind: unknown): boolean {
  if (typeof kind !== 'string') return false;
  return kind === 'Service' || SERVICE_SPELLINGS.has(kind.trim().toLowerCase()) || nearest(kind, ['Service']) !== undefined;
}

/** A domain of its own is another API, which may well have a kind Service (Knative has). */
function meansCore(group: unknown): boolean {
  if (isAbsent(group) || isCoreGroup(group) || group === GATEWAY_GROUP) return true;
  if (typeof group !== 'string') return false;
  const lower = group.trim().toLowerCase();
  return (
    CORE_SPELLINGS.has(lower) || nearest(lower, [GATEWAY_GROUP, 'core']) !== undefined || /^gateway\.networking\.k8s\.io\//.test(lower)
  );
}

/** The Service of this key, or else the nearest by name in its namespace, or one of its name elsewhere. */
function existing(key: string, services: ServiceNames): string | undefined {
  const lower = key.toLowerCase();
  for (const candidate of [key, lower]) if (services.service(candidate) !== undefined) return candidate;
  const [namespace, name] = splitKey(key);
  const near = nearest(name, services.serviceNamesIn(namespace));
  if (near !== undefined) return keyOf(namespace, near);
  const [elsewhere] = [...services.namespacesOfService(name)].sort();
  return elsewhere === undefined ? undefined : keyOf(elsewhere, name);
}

/** `{group: "", kind: Service, name: payment}`, with what else the author wrote where it can mean the same. */
function correction(ref: ParentReference, key: string, routeNamespace: string, isService: boolean): string {
  const [namespace, name] = splitKey(key);
  const fields = ['group: ""', 'kind: Service', `name: ${plain(name)}`];
  if (namespace !== routeNamespace) fields.push(`namespace: ${plain(namespace)}`);
  if (isService && !isAbsent(ref.sectionName)) fields.push(`sectionName: ${plain(ref.sectionName)}`);
  if (isService && !isAbsent(ref.port)) fields.push(`port: ${plain(ref.port)}`);
  return `{${fields.join(', ')}}`;
}

/** As it stands in YAML. */
function plain(value: unknown): string {
  return typeof value === 'string' && /^[a-z][a-z0-9.-]*$/.test(value) ? value : quote(value);
}
