// Routes on Services: what their statuses say, and whether the control plane has judged them. Pure.

import { ObjectStore } from '#control-plane/store/object-store.ts';
import { nearParentProblems } from '#control-plane/translate/routes/near-parents.ts';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import type { StoredCondition } from '#objects/condition.ts';
import { parentServiceOf } from '#objects/references.ts';
import type { Route } from '#objects/route.ts';
import { fullNameOf } from '../cluster/pods.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

const checks = checksOf('Routes');

/** Each route with a Service as its parent: a mistake in it is a warning here, because the mesh itself is well. */
export function routeChecks(facts: Facts): Check[] {
  const { routes } = facts;
  if (!routes.ok) return [checks.skipped('routes', 'the routes could not be read', { details: [routes.error] })];
  const ours = routes.value.filter((route) => parentsOf(route).length > 0);
  const strays = strayChecks(routes.value, facts);
  if (ours.length === 0) return strays.length > 0 ? strays : [checks.ok('routes', 'no route is attached to a Service')];
  const mistakes = ours.flatMap(mistakesOf);
  const pending = ours.filter(isPending).map((route) => `${route.kind} ${fullNameOf(route)}`);
  const made: Check[] = [];
  if (mistakes.length > 0) {
    made.push(
      checks.warning('routes', 'routes with mistakes', {
        details: mistakes,
        hint: 'weft status routes; weft explain says what becomes of a call',
      }),
    );
  }
  if (pending.length > 0) {
    const hint = 'the leading control plane writes statuses within a second; its log says what keeps it';
    made.push(
      checks.warning('routes-pending', `${counted(pending.length, 'route')} whose latest version has no status yet`, {
        details: pending,
        hint,
      }),
    );
  }
  if (made.length === 0)
    made.push(checks.ok('routes', `${counted(ours.length, 'route')} on Services, all accepted, all references resolved`));
  return [...made, ...strays];
}

/** Routes that are attached to nothing in the mesh and were likely meant for a Service. */
function strayChecks(routes: readonly Route[], { services }: Facts): Check[] {
  const store = new ObjectStore();
  store.replaceAll((services.ok ? services.value : []).map((service) => ({ apiVersion: 'v1', kind: 'Service', ...service })));
  const details = nearParentProblems(routes, store);
  if (details.length === 0) return [];
  const hint = 'a parentRef of a mesh names group "", kind Service and the name of a Service';
  return [checks.warning('routes-unattached', 'routes with parents that nearly name a Service', { details, hint })];
}

function parentsOf(route: Route): { key: string; port?: number }[] {
  return (route.spec?.parentRefs ?? []).flatMap((ref) => {
    const key = parentServiceOf(ref, route.metadata?.namespace ?? '');
    return key === undefined ? [] : [{ key, port: ref.port }];
  });
}

function entriesOf(route: Route) {
  return (route.status?.parents ?? []).filter(({ controllerName }) => controllerName === CONTROLLER_NAME);
}

function isPending(route: Route): boolean {
  const entries = entriesOf(route);
  const generation = route.metadata?.generation ?? 0;
  if (entries.length < new Set(parentsOf(route).map(({ key, port }) => `${key}:${port ?? ''}`)).size) return true;
  return entries.some(({ conditions }) => (conditions ?? []).every(({ observedGeneration = 0 }) => observedGeneration < generation));
}

function mistakesOf(route: Route): string[] {
  return entriesOf(route).flatMap(({ parentRef, conditions }) => {
    const port = parentRef?.port === undefined ? '' : `:${parentRef.port}`;
    const where = `${route.kind} ${fullNameOf(route)} on Service ${parentRef?.name ?? ''}${port}`;
    return (conditions ?? [])
      .filter(isMistake)
      .map(({ type, status, reason, message }) => `${where}: ${type}=${status} ${reason}: ${message}`);
  });
}

/** PartiallyInvalid is the one that is good when it is not there. */
function isMistake({ type, status }: StoredCondition): boolean {
  return type === 'PartiallyInvalid' ? status === 'True' : (type === 'Accepted' || type === 'ResolvedRefs') && status !== 'True';
}
