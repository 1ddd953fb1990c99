// The control plane: is it there, does it see what it needs, can it sign, do versions fit? Pure.
import { AUTHORITY_SECRET, CONTROL_PLANE_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { spanText } from '../print/span.ts';
import { type Check, checksOf } from './check.ts';
import { parseVersion } from './cluster-checks.ts';
import type { Facts } from './facts.ts';
import { INSTALL, programChecks } from './program-check.ts';

/** The authority lasts years; with less than this left it is time to act. */
const AUTHORITY_SOON_MS = 30 * 86_400_000;

const checks = checksOf('Control plane');

/** All of the control plane, or the one line that Weft is not installed. */
export function controlPlaneChecks(facts: Facts): Check[] {
  if (!isInstalled(facts)) {
    return [checks.failed('control-plane', `there is no namespace ${SYSTEM_NAMESPACE}: Weft is not installed`, { hint: INSTALL })];
  }
  return [
    ...programChecks(facts, 'Control plane', 'control-plane', CONTROL_PLANE_NAME, 'sidecars get neither changes nor certificates'),
    ...authorityChecks(facts),
    ...answerChecks(facts),
    ...versionChecks(facts),
  ];
}

/** Whether the system namespace exists, as far as is known. */
export function isInstalled({ namespaces }: Facts): boolean {
  return !namespaces.ok || namespaces.value.some(({ metadata }) => metadata?.name === SYSTEM_NAMESPACE);
}

function authorityChecks({ authority, answers, nowMs }: Facts): Check[] {
  if (!authority.ok) return [checks.skipped('authority', `Secret ${AUTHORITY_SECRET} could not be read`, { details: [authority.error] })];
  if (!authority.value) {
    const hint = 'a running control plane writes it; if it cannot, its log says why';
    return [checks.failed('authority', `there is no Secret ${SYSTEM_NAMESPACE}/${AUTHORITY_SECRET}: no certificate authority`, { hint })];
  }
  const ends = answers.flatMap(({ report }) =>
    report.ok && report.value.authorityNotAfterMs > 0 ? [report.value.authorityNotAfterMs] : [],
  );
  if (ends.length === 0) return [checks.ok('authority', `the certificate authority exists (Secret ${AUTHORITY_SECRET})`)];
  const leftMs = Math.min(...ends) - nowMs;
  const hint = 'with the authority all certificates of the mesh end';
  if (leftMs <= 0) return [checks.failed('authority', `the certificate authority expired ${spanText(-leftMs)} ago`, { hint })];
  const text = `the certificate authority is good for ${spanText(leftMs)}`;
  return [leftMs < AUTHORITY_SOON_MS ? checks.warning('authority', text, { hint }) : checks.ok('authority', text)];
}

function answerChecks({ answers }: Facts): Check[] {
  const made: Check[] = [];
  const mute = answers.flatMap(({ pod, report }) => (report.ok ? [] : [`${pod}: ${report.error}`]));
  if (mute.length > 0) {
    const hint =
      'it is asked by port-forward (pods/portforward, get and create); sidecars of replicas that do not answer are not seen below';
    made.push(checks.warning('control-plane-status', 'a control plane did not say what it knows', { details: mute, hint }));
  }
  const reports = answers.flatMap(({ pod, report }) => (report.ok ? [{ pod, report: report.value }] : []));
  if (reports.length === 0) return made;
  const problems = reports.flatMap(({ pod, report }) => [
    ...report.problems.map((problem) => `${pod}: ${problem}`),
    ...report.missingKinds.map((kind) => `${pod}: ${kind} is not served by the API server; waiting for it`),
    ...report.reflectors.flatMap(({ kind, synced, lastError }) =>
      synced ? [] : [`${pod}: ${kind} is not read: ${lastError || 'not synced yet'}`],
    ),
  ]);
  const once = [...new Set(problems)];
  if (once.length > 0) made.push(checks.warning('control-plane-problems', 'the control plane reports problems', { details: once }));
  if (mute.length === 0 && !reports.some(({ report }) => report.leader)) {
    made.push(
      checks.warning('leader', 'no control plane leads: statuses of routes are not written', { hint: 'a new leader comes within 15 s' }),
    );
  }
  if (made.length === 0) made.push(checks.ok('control-plane-status', 'the control plane reads all it needs and has a leader'));
  return made;
}

function versionChecks({ answers, version }: Facts): Check[] {
  const others = new Map<string, string[]>();
  const add = (other: string, who: string): void => {
    if (other !== '' && !fits(version, other)) others.set(other, [...(others.get(other) ?? []), who]);
  };
  let seen = 0;
  for (const { pod, report } of answers) {
    if (!report.ok) continue;
    seen++;
    add(report.value.version, `control plane ${pod}`);
    for (const sidecar of report.value.sidecars) add(sidecar.version, `sidecar of ${sidecar.namespace}/${sidecar.pod}`);
  }
  if (seen === 0) return [];
  if (others.size === 0) return [checks.ok('versions', `control plane and sidecars are within one minor version of this ${version}`)];
  return [
    checks.warning('versions', `versions are more than one minor apart from this ${version}`, {
      details: [...others].flatMap(([other, names]) => names.map((who) => `${other}: ${who}`)),
      hint: 'restart pods with old sidecars (kubectl rollout restart), use the weft of the control plane',
    }),
  ];
}

/** Same major and at most one minor apart; a version that is none fits. */
function fits(a: string, b: string): boolean {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  return !left || !right || (left[0] === right[0] && Math.abs(left[1] - right[1]) <= 1);
}
