// Every pod that should have a sidecar: does it, is it ready, is it connected, is its certificate good? Pure.
import { CONTROL_PLANE_NAME, SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { decide, hasSidecar } from '#injector/decide.ts';
import type { ClusterPod } from '../cluster/objects.ts';
import { fullNameOf, initContainer, isLive, troubleOf } from '../cluster/pods.ts';
import { spanText } from '../print/span.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

/** So long a pod may start before its sidecar counts as broken. */
const STARTING_MS = 60_000;
const DEFAULT_LEAF_SECONDS = 43_200;
/** Certificates are renewed at half their life; with less than this share left, renewal has failed for long. */
const LATE_SHARE = 0.2;

const checks = checksOf('Sidecars');

/** Injected, ready, connected and certified. */
export function sidecarChecks(facts: Facts): Check[] {
  if (!facts.pods.ok) return [checks.skipped('injected', 'the pods could not be read', { details: [facts.pods.error] })];
  const live = facts.pods.value.filter(isLive);
  const injected = live.filter(hasSidecar);
  return [
    ...injectedChecks(facts, live, injected.length),
    ...readyChecks(facts, injected),
    ...connectedChecks(facts, injected),
    ...certificateChecks(facts),
  ];
}

function injectedChecks({ namespaces }: Facts, live: readonly ClusterPod[], injected: number): Check[] {
  if (!namespaces.ok) return [];
  const byName = new Map(namespaces.value.map(({ metadata }) => [metadata?.name ?? '', metadata]));
  const bare: ClusterPod[] = [];
  const details: string[] = [];
  const excused: string[] = [];
  for (const pod of live) {
    if (hasSidecar(pod)) continue;
    const namespace = byName.get(pod.metadata?.namespace ?? '');
    if (!namespace) continue;
    const decision = decide(pod, { name: namespace.name ?? '', labels: namespace.labels ?? {}, annotations: namespace.annotations ?? {} });
    if ('deny' in decision || decision.inject) {
      bare.push(pod);
      details.push('deny' in decision ? `${fullNameOf(pod)}: ${decision.deny}` : fullNameOf(pod));
    } else if (decision.event && decision.reason !== 'WrongLabelValue') excused.push(`${fullNameOf(pod)}: ${decision.message}`);
  }
  const made: Check[] = [];
  if (bare.length > 0) {
    const first = bare[0].metadata;
    made.push(
      checks.failed('injected', `${counted(bare.length, 'pod')} should have a sidecar and ${bare.length === 1 ? 'has' : 'have'} none`, {
        details,
        hint: `they are older than the label or the webhook; make them anew: ${remakeCommand(first?.namespace ?? '', bare[0])}`,
      }),
    );
  } else if (injected > 0) made.push(checks.ok('injected', `every pod that should have a sidecar has one: ${counted(injected, 'pod')}`));
  else made.push(checks.skipped('injected', 'no pod has a sidecar, and none should'));
  if (excused.length > 0)
    made.push(checks.skipped('not-injected', `${counted(excused.length, 'pod')} cannot have a sidecar`, { details: excused }));
  return made;
}

function remakeCommand(namespace: string, pod: ClusterPod): string {
  const owner = pod.metadata?.ownerReferences?.[0];
  if (owner?.kind === 'ReplicaSet') return `kubectl -n ${namespace} rollout restart deployment/${owner.name?.replace(/-[^-]+$/, '')}`;
  if (owner?.kind === 'StatefulSet' || owner?.kind === 'DaemonSet') {
    return `kubectl -n ${namespace} rollout restart ${owner.kind.toLowerCase()}/${owner.name}`;
  }
  return `kubectl -n ${namespace} delete pod ${pod.metadata?.name}${owner === undefined ? ', then create it again' : ''}`;
}

function readyChecks({ sidecarWords, nowMs }: Facts, injected: readonly ClusterPod[]): Check[] {
  if (injected.length === 0) return [];
  const broken: ClusterPod[] = [];
  const starting: ClusterPod[] = [];
  for (const pod of injected) {
    if (sidecarTrouble(pod) === undefined) continue;
    (nowMs - Date.parse(pod.metadata?.creationTimestamp ?? '') < STARTING_MS ? starting : broken).push(pod);
  }
  const lines = (pods: readonly ClusterPod[]) =>
    pods.map((pod) =>
      [`${fullNameOf(pod)}: ${sidecarTrouble(pod)}`, sidecarWords.get(fullNameOf(pod))].filter(Boolean).join('; it says: '),
    );
  const made: Check[] = [];
  if (broken.length > 0) {
    const { namespace, name } = broken[0].metadata ?? {};
    made.push(
      checks.failed('ready', `${counted(broken.length, 'sidecar')} not ready or not capturing`, {
        details: lines(broken),
        hint: `kubectl -n ${namespace} logs ${name} -c ${SIDECAR_CONTAINER}`,
      }),
    );
  }
  if (starting.length > 0) {
    made.push(
      checks.warning('starting', `${counted(starting.length, 'sidecar')} still starting`, {
        details: lines(starting),
        hint: 'ask again in a minute',
      }),
    );
  }
  if (made.length === 0) made.push(checks.ok('ready', 'every sidecar is ready and captures its pod'));
  return made;
}

/** Why a pod's sidecar does not serve; undefined: it does. A sidecar that is not captured is not ready. */
export function sidecarTrouble(pod: ClusterPod): string | undefined {
  const sidecar = initContainer(pod, SIDECAR_CONTAINER);
  if (sidecar?.ready === true && sidecar.started !== false) return undefined;
  if (sidecar === undefined || sidecar.state?.waiting?.reason === 'PodInitializing') return 'its containers have not started';
  return troubleOf(sidecar) || 'runs, but is not ready';
}

function connectedChecks({ answers }: Facts, injected: readonly ClusterPod[]): Check[] {
  const serving = injected.filter((pod) => sidecarTrouble(pod) === undefined);
  if (serving.length === 0) return [];
  // A replica that does not answer may serve any of them.
  if (answers.length === 0 || answers.some(({ report }) => !report.ok)) {
    return [checks.skipped('connected', 'not every control plane said which sidecars are connected to it')];
  }
  const sidecars = answers.flatMap(({ report }) => (report.ok ? report.value.sidecars : []));
  const connected = new Set(sidecars.map(({ namespace, pod }) => `${namespace}/${pod}`));
  const lost = serving.map(fullNameOf).filter((key) => !connected.has(key));
  const made: Check[] = [];
  if (lost.length > 0) {
    made.push(
      checks.warning('connected', `${counted(lost.length, 'sidecar')} not connected to a control plane: they keep what they have`, {
        details: lost,
        hint: 'a sidecar comes back by itself within seconds; its log says what keeps it (NetworkPolicy to port 15012 of weft-system?)',
      }),
    );
  } else made.push(checks.ok('connected', `every sidecar is connected to a control plane`));
  const refusals = sidecars.flatMap(({ namespace, pod, rejected }) =>
    rejected.map(({ name, reason }) => `${namespace}/${pod}: ${name}: ${reason}`),
  );
  if (refusals.length > 0) {
    const hint = 'they keep the last good version; is the sidecar older than the control plane? kubectl rollout restart its Deployment';
    made.push(checks.warning('rejected', `sidecars refused configuration`, { details: refusals, hint }));
  }
  return made;
}

function certificateChecks({ answers, deployments, nowMs }: Facts): Check[] {
  const known = answers
    .flatMap(({ report }) => (report.ok ? report.value.sidecars : []))
    .filter(({ certificateNotAfterMs }) => certificateNotAfterMs > 0);
  if (known.length === 0) return [];
  // A replica does not hear of a renewal at another one.
  const lateMs = answers.length > 1 ? 0 : leafSeconds(deployments) * 1000 * LATE_SHARE;
  const late = known.filter(({ certificateNotAfterMs }) => certificateNotAfterMs - nowMs <= lateMs);
  if (late.length === 0) {
    const shortest = Math.min(...known.map(({ certificateNotAfterMs }) => certificateNotAfterMs)) - nowMs;
    return [checks.ok('certificates', `no sidecar's certificate ends within ${spanText(shortest)}`)];
  }
  const details = late.map(({ namespace, pod, certificateNotAfterMs }) => {
    const leftMs = certificateNotAfterMs - nowMs;
    return `${namespace}/${pod}: ${leftMs > 0 ? `ends in ${spanText(leftMs)}` : `expired ${spanText(-leftMs)} ago`}`;
  });
  const expired = late.some(({ certificateNotAfterMs }) => certificateNotAfterMs <= nowMs);
  const text = `${counted(late.length, 'certificate')} should have been renewed long ago`;
  const hint = "the sidecar's log says why it gets no new one";
  return [expired ? checks.failed('certificates', text, { details, hint }) : checks.warning('certificates', text, { details, hint })];
}

function leafSeconds(deployments: Facts['deployments']): number {
  if (!deployments.ok) return DEFAULT_LEAF_SECONDS;
  const controlPlane = deployments.value.find(({ metadata }) => metadata?.name === CONTROL_PLANE_NAME);
  const environment = (controlPlane?.spec?.template?.spec?.containers ?? []).flatMap(({ env }) => env ?? []);
  return Number(environment.find(({ name }) => name === 'WEFT_LEAF_SECONDS')?.value) || DEFAULT_LEAF_SECONDS;
}
