// Sidecars whose certificate has expired. The control plane cannot tell, because it refuses their streams: they say so
// themselves, at /readyz. Pure.
import { SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

const checks = checksOf('Sidecars');

/** Nothing, where no sidecar that was asked says that its certificate has expired. */
export function expiredChecks({ sidecarWords }: Facts): Check[] {
  const expired = [...sidecarWords].filter(([, words]) => words.includes('certificate expired'));
  if (expired.length === 0) return [];
  const [namespace, name] = expired[0][0].split('/');
  return [
    checks.failed('expired', `the certificate of ${counted(expired.length, 'sidecar')} or more has expired: they take and make no calls`, {
      details: expired.map(([pod, words]) => `${pod}: ${words}`),
      hint: `once a control plane answers they get new ones by themselves; what keeps them: kubectl -n ${namespace} logs ${name} -c ${SIDECAR_CONTAINER}`,
    }),
  ];
}
