// From facts to verdicts: all checks of `weft check`, in the order in which they are shown. Pure.
import { CATEGORIES, type Category, type Check, checksOf } from './check.ts';
import { gatewayChecks, kubernetesChecks } from './cluster-checks.ts';
import { controlPlaneChecks, isInstalled } from './control-plane-checks.ts';
import { expiredChecks } from './expired-checks.ts';
import type { Facts } from './facts.ts';
import { injectorChecks } from './injector-checks.ts';
import { limitChecks } from './limit-checks.ts';
import { misplacedChecks } from './misplaced-checks.ts';
import { namespaceChecks } from './namespace-checks.ts';
import { probeChecks } from './probe-checks.ts';
import { routeChecks } from './route-checks.ts';
import { settingsChecks } from './settings-checks.ts';
import { sidecarChecks } from './sidecar-checks.ts';

/** Every check's verdict. Without an API server: one failed check with the reason, and the rest skipped. */
export function evaluate(facts: Facts): Check[] {
  const kubernetes = kubernetesChecks(facts);
  if (!facts.kubernetes.ok) return [...kubernetes, ...skippedFrom('Gateway API', 'the API server cannot be asked')];
  const ground = [...kubernetes, ...gatewayChecks(facts), ...controlPlaneChecks(facts)];
  if (!isInstalled(facts)) return [...ground, ...skippedFrom('Injector', 'Weft is not installed')];
  const namespaces = [...namespaceChecks(facts), ...misplacedChecks(facts), ...limitChecks(facts)];
  const sidecars = [...sidecarChecks(facts), ...expiredChecks(facts), ...settingsChecks(facts), ...probeChecks(facts)];
  return [...ground, ...injectorChecks(facts), ...namespaces, ...sidecars, ...routeChecks(facts)];
}

/** Skipped checks, one for each category from `first` on. */
export function skippedFrom(first: Category, why: string): Check[] {
  return CATEGORIES.slice(CATEGORIES.indexOf(first)).map((category) =>
    checksOf(category).skipped(category.toLowerCase().replaceAll(' ', '-'), `not looked at: ${why}`),
  );
}
