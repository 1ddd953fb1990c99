// Pods that were injected by other settings than those of the installation now. Pure.
import { ANNOTATION_SETTINGS, INJECTOR_NAME } from '#core/contract/names.ts';
import { hasSidecar } from '#injector/decide.ts';
import { readInjection } from '#injector/settings.ts';
import { settingsHash } from '#injector/settings-hash.ts';
import { fullNameOf, isLive } from '../cluster/pods.ts';
import { environmentOf } from '../installation/environment.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

const checks = checksOf('Sidecars');

/** Whether each injected pod has the settings that a new one would get. */
export function settingsChecks({ pods, deployments, answers, version }: Facts): Check[] {
  if (!pods.ok || !deployments.ok) return [];
  const injector = deployments.value.find(({ metadata }) => metadata?.name === INJECTOR_NAME);
  const injected = pods.value.filter((pod) => isLive(pod) && hasSidecar(pod));
  if (injector === undefined || injected.length === 0) return [];
  const others = answers.flatMap(({ report }) => (report.ok && report.value.version !== version ? [report.value.version] : []));
  if (others.length > 0) {
    const text = `whether pods have the settings of today can be said by weft ${others[0]} alone, because this is ${version}`;
    return [checks.skipped('settings', text)];
  }
  const read = readInjection(environmentOf(injector));
  if ('problems' in read) return [checks.skipped('settings', "the injector's settings could not be read", { details: read.problems })];
  const now = settingsHash({ ...read.injection, trustRoots: '' });
  const old = injected.filter(({ metadata }) => metadata?.annotations?.[ANNOTATION_SETTINGS] !== now);
  if (old.length === 0) return [checks.ok('settings', 'every sidecar was injected with the settings of today')];
  const [{ metadata }] = old;
  return [
    checks.warning('settings', `${counted(old.length, 'pod')} injected with settings that have changed since`, {
      details: old.map(fullNameOf),
      hint: `new values hold for pods made afterwards: kubectl -n ${metadata?.namespace} rollout restart deployment (or statefulset, daemonset)`,
    }),
  ];
}
