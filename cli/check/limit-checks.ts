// Namespaces whose LimitRanges or ResourceQuotas leave no room for a sidecar, whatever it asks for. Pure; the rules are
// those of kubernetes.io, "Limit Ranges" and "Resource Quotas".
import { parseQuantity } from '#core/contract/quantity.ts';
import { LEAST_REQUEST, type LimitedResource, quantityText } from '#injector/limits.ts';
import { type Check, checksOf } from './check.ts';
import type { Facts, LimitRange, ResourceQuota } from './facts.ts';
import { isMeshed } from './namespace-checks.ts';

const LIMITED: readonly LimitedResource[] = ['cpu', 'memory'];

const checks = checksOf('Namespaces');

/** What stands in the way of new pods of meshed namespaces, with the object, its field and the remedy. */
export function limitChecks({ namespaces, limitRanges, quotas }: Facts): Check[] {
  if (!namespaces.ok) return [];
  const unread = [limitRanges, quotas].flatMap((read) => (read.ok ? [] : [read.error]));
  const meshed = new Set(namespaces.value.filter(isMeshed).map(({ metadata }) => metadata?.name));
  const within = <T extends LimitRange | ResourceQuota>(items: readonly T[]) =>
    items.filter(({ metadata }) => meshed.has(metadata?.namespace));
  const narrow = within(limitRanges.ok ? limitRanges.value : []).flatMap(tooNarrow);
  const full = within(quotas.ok ? quotas.value : []).flatMap(usedUp);
  const made: Check[] = [];
  if (unread.length > 0) {
    made.push(checks.skipped('limits-unread', 'LimitRanges or ResourceQuotas could not be read', { details: unread }));
  }
  if (narrow.length > 0) {
    made.push(
      checks.failed('limits', 'new pods of meshed namespaces are refused, or their sidecars killed, by limits of the namespace', {
        details: narrow.map(({ text }) => text),
        hint: narrow[0].hint,
      }),
    );
  }
  // The pods that are there have their share: it may be meant so.
  if (full.length > 0) {
    made.push(
      checks.warning('quotas', 'quotas of meshed namespaces leave no room for the sidecar of one pod more', {
        details: full.map(({ text }) => text),
        hint: full[0].hint,
      }),
    );
  }
  return made;
}

interface Narrow {
  readonly text: string;
  readonly hint: string;
}

function tooNarrow({ metadata, spec }: LimitRange): Narrow[] {
  const { namespace, name } = metadata ?? {};
  return (spec?.limits ?? []).flatMap(({ type, max }, index) =>
    LIMITED.flatMap((resource) => {
      const least = quantityText(LEAST_REQUEST[resource], resource);
      const most = parseQuantity(String(max?.[resource] ?? ''));
      if ((type !== 'Container' && type !== 'Pod') || most === null || most >= LEAST_REQUEST[resource]) return [];
      const field = `spec.limits[${index}].max.${resource}`;
      return [
        {
          text: `${namespace}: LimitRange ${name}: ${field}: ${max?.[resource]} for a ${type} is below ${least}, which a sidecar needs`,
          hint: `kubectl -n ${namespace} edit limitrange ${name}: ${field} of at least ${least} more than the application's own`,
        },
      ];
    }),
  );
}

function usedUp({ metadata, spec, status }: ResourceQuota): Narrow[] {
  const { namespace, name } = metadata ?? {};
  return Object.entries(status?.hard ?? spec?.hard ?? {}).flatMap(([counted, hard]) => {
    const resource = LIMITED.find((one) => one === counted.replace(/^(requests|limits)\./, ''));
    const all = parseQuantity(String(hard));
    const used = parseQuantity(String(status?.used?.[counted] ?? '0'));
    if (resource === undefined || all === null || used === null || all - used >= LEAST_REQUEST[resource]) return [];
    const least = quantityText(LEAST_REQUEST[resource], resource);
    return [
      {
        text: `${namespace}: ResourceQuota ${name}: spec.hard.${counted}: ${status?.used?.[counted] ?? 0} of ${hard} used, and a sidecar needs ${least}`,
        hint: `kubectl -n ${namespace} edit resourcequota ${name}: raise spec.hard.${counted} by what the sidecars of its pods ask for`,
      },
    ];
  });
}
