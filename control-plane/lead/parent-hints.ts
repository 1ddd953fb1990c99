// Reports parentRefs that nearly name a Service: an Event on the route and a line of the log. Never a status, because a
// parent that is not ours is another controller's to judge.
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { keyOf, namespaceOf } from '#objects/references.ts';
import type { Route } from '#objects/route.ts';
import { nearParents, type ServiceNames } from '../translate/routes/near-parents.ts';
import { LeaderTask } from './leader-task.ts';

/** Between a change and the look: a controller that serves the parent says so in the route's status meanwhile. */
export const LOOK_AFTER_MS = 5000;
/** Routes with such parentRefs that are reported; the next ones follow when these are put right. */
const MOST_ROUTES = 100;

export interface ParentHintsDeps {
  readonly routes: () => Iterable<Route>;
  readonly services: ServiceNames;
  readonly timers: Timers;
  readonly log: Logger;
  /** A person should know: an Event on the route. */
  readonly onHint: (route: Route, message: string) => void;
}

export class ParentHints extends LeaderTask {
  private readonly deps: ParentHintsDeps;
  /** Kind, key and uid of a route → what was said of it. */
  private reported: ReadonlyMap<string, string> = new Map();

  constructor(deps: ParentHintsDeps) {
    super(deps.timers);
    this.deps = deps;
  }

  /** A route or a Service may be different. Cheap. */
  touch(): void {
    this.lookIn(LOOK_AFTER_MS);
  }

  protected look(): void {
    const { routes, services, log, onHint } = this.deps;
    const found = new Map<string, string>();
    for (const route of routes()) {
      if (found.size === MOST_ROUTES) break;
      const messages = nearParents(route, services).map(({ message }) => message);
      if (messages.length === 0) continue;
      const key = `${route.kind} ${keyOf(namespaceOf(route), route.metadata?.name ?? '')}`;
      const identity = `${key} ${route.metadata?.uid ?? ''}`;
      found.set(identity, messages.join('; '));
      if (this.reported.get(identity) === found.get(identity)) continue;
      for (const message of messages) {
        log.warn('a route is attached to nothing in the mesh', { route: key, message });
        onHint(route, message);
      }
    }
    this.reported = found;
  }
}
