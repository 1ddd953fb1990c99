// Which namespaces are meshed, and labels that mean nothing. Pure.
import { isLabelValue, LABEL_VALUES, meantLabelValue } from '#core/contract/labels.ts';
import { LABEL_INJECT } from '#core/contract/names.ts';
import { EXCLUDED_NAMESPACES } from '#injector/decide.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { ClusterPod } from '../cluster/objects.ts';
import { fullNameOf, isLive } from '../cluster/pods.ts';
import { captureChecks, capturedBy } from './capture-checks.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

const checks = checksOf('Namespaces');

/** The namespaces whose pods get sidecars, and each label with a value or a key that Weft does not know. */
export function namespaceChecks(facts: Facts): Check[] {
  const { namespaces, pods } = facts;
  if (!namespaces.ok) return [checks.skipped('namespaces', 'the namespaces could not be read', { details: [namespaces.error] })];
  const made: Check[] = [];
  const wrong = [
    ...namespaces.value.flatMap((namespace) => wrongLabels(namespace, `namespace ${namespace.metadata?.name}`)),
    ...(pods.ok ? pods.value.filter(isLive).flatMap((pod) => wrongLabels(pod, `pod ${fullNameOf(pod)}`)) : []),
  ];
  if (wrong.length > 0) {
    made.push(
      checks.failed('labels', `${counted(wrong.length, 'label')} with a value that means nothing`, {
        details: wrong.map(({ text }) => text),
        hint: wrong[0].hint,
      }),
    );
  }
  const idle = namespaces.value.filter(({ metadata }) => isLabelled({ metadata }) && EXCLUDED_NAMESPACES.includes(metadata?.name ?? ''));
  if (idle.length > 0) {
    const details = idle.map(({ metadata }) => `${metadata?.name}`);
    made.push(checks.warning('system-namespaces', `${LABEL_INJECT} has no effect on system namespaces`, { details }));
  }
  const meshed = namespaces.value.filter(isMeshed);
  const names = meshed.map(({ metadata }) => metadata?.name ?? '');
  made.push(...captureChecks(facts, meshed));
  if (names.length > 0) {
    const { way, details } = capturedBy(facts, names);
    made.push(checks.ok('namespaces', `${counted(names.length, 'namespace')} meshed: ${nameList(names)}; captured by ${way}`, { details }));
  } else {
    const hint = `kubectl label namespace NAME ${LABEL_INJECT}=enabled, then kubectl -n NAME rollout restart deployment`;
    made.push(checks.warning('namespaces', 'no namespace is meshed', { hint }));
  }
  return made;
}

/** Whether a namespace's pods get a sidecar by default. */
export function isMeshed(namespace: Namespace): boolean {
  return isLabelled(namespace) && !EXCLUDED_NAMESPACES.includes(namespace.metadata?.name ?? '');
}

function isLabelled({ metadata }: Namespace): boolean {
  return metadata?.labels?.[LABEL_INJECT] === 'enabled';
}

function wrongLabels({ metadata }: Namespace | ClusterPod, who: string): { text: string; hint: string }[] {
  return Object.entries(LABEL_VALUES).flatMap(([label, values]) => {
    const value = metadata?.labels?.[label];
    if (value === undefined || isLabelValue(label, value)) return [];
    const meant = meantLabelValue(label, value);
    const text = `${who}: ${label}=${value} is not one of ${values.join(', ')}${meant === undefined ? '' : `; did you mean "${meant}"?`}`;
    const right = meant ?? values[0];
    const hint =
      metadata?.namespace === undefined
        ? `kubectl label --overwrite namespace ${metadata?.name} ${label}=${right}`
        : // Injection has passed for this one, and the next one is made from the template.
          `put it into the template of its workload: ${label}: ${right}`;
    return [{ text, hint }];
  });
}

const MOST_NAMES = 8;

function nameList(names: readonly string[]): string {
  return names.length <= MOST_NAMES ? names.join(', ') : `${names.slice(0, MOST_NAMES).join(', ')} and ${names.length - MOST_NAMES} more`;
}
