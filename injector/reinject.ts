// A pod that has its sidecar already, and was changed since: by another webhook before it was created (the second
// review), or by a client after that (an update). Pure.
import { isDeepStrictEqual } from 'node:util';
import { ANNOTATION_STATUS, SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { parsePortRanges } from '#core/contract/port-ranges.ts';
import { formatProbes, HOOK_KINDS, PROBE_KINDS, type ProbeTarget, parseProbes } from '#core/contract/probes.ts';
import type { SidecarResources } from './annotations.ts';
import { type InjectionSettings, identityVolume, literal, resourcesOf, tokenContainer } from './containers.ts';
import { IDENTITY_VOLUME, TOKEN_CONTAINER } from './decide.ts';
import { type Injected, type InjectionFacts, needsTokenContainer } from './inject.ts';
import { fitResources, runningTogether } from './limits.ts';
import type { Container, Hook, HttpGet, InjectablePod, PodSpec, Probe } from './pod.ts';
import { probeTarget, rewriteProbes, sidecarHandler } from './probes.ts';

const OURS: readonly string[] = [TOKEN_CONTAINER, SIDECAR_CONTAINER];

/**
 * Makes of a pod for which hasSidecar() holds, changed by others, what inject() would have made of it: our containers
 * before all others, probes and hooks of new containers rewritten, resources that the namespace admits, the volume
 * there. What others changed of our container stays. Given its own result it returns the same pod.
 */
export function reinject(pod: InjectablePod, settings: InjectionSettings, { hookToken, limits }: InjectionFacts): Injected {
  const spec = pod.spec!;
  const old = spec.initContainers!.find(({ name }) => name === SIDECAR_CONTAINER)!;
  const probes = rewriteProbes(pod, parsePortRanges(variableOf(old, 'WEFT_SKIP_INBOUND_PORTS')).ranges, hookToken);
  const problems: string[] = [];
  const fitted = (container: Container): Container => {
    const wanted = resourcesIn(container);
    const { resources, problems: found } = fitResources(wanted, limits, runningTogether(pod, OURS));
    if (container === old) problems.push(...found);
    return isDeepStrictEqual(resources, wanted) ? container : withResources(container, resources);
  };
  const sidecar = withProbes(fitted(old), probes.targets);
  const initContainers = probes.initContainers!.filter(({ name }) => !OURS.includes(name ?? ''));
  const token = spec.initContainers!.find(({ name }) => name === TOKEN_CONTAINER);
  const added = token === undefined && needsTokenContainer(pod, settings);
  const ours = [...(token === undefined ? [] : [fitted(token)]), sidecar];
  if (added) ours.unshift(tokenContainer({ ...settings, image: old.image ?? settings.image, resources: resourcesIn(sidecar) }));
  const volumes = spec.volumes ?? [];
  const complete = volumes.some(({ name }) => name === IDENTITY_VOLUME);
  const next: PodSpec = {
    ...spec,
    initContainers: kept(spec.initContainers, [...ours, ...initContainers]),
    containers: kept(spec.containers, probes.containers),
    volumes: complete ? volumes : [...volumes, identityVolume()],
  };
  const changed = (['initContainers', 'containers', 'volumes'] as const).some((list) => next[list] !== spec[list]);
  if (!changed) return { pod, warnings: [] };
  return {
    pod: { ...pod, ...(added && { metadata: { ...pod.metadata, annotations: statusWithToken(pod) } }), spec: next },
    warnings: [...problems, ...probes.warnings],
  };
}

/**
 * A client that applies its manifest again sends the probes and hooks that injection rewrote: fields that cannot change.
 * Where they ask what they asked before, they are put back as they are in the pod; what a client did change stays for
 * the API server to judge.
 * @param before the pod as it is
 * @param after as a client wants it
 */
export function keepRewritten(before: InjectablePod, after: InjectablePod): InjectablePod {
  const sidecar = before.spec?.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
  const targets = sidecar === undefined ? new Map<string, ProbeTarget>() : targetsOf(sidecar);
  if (targets.size === 0) return after;
  const restored = (list: Container[] | undefined, old: Container[] | undefined): Container[] | undefined =>
    kept(
      list,
      list?.map((container) => {
        const was = old?.find(({ name }) => name === container.name);
        return was === undefined ? container : restoredContainer(container, was, targets);
      }),
    );
  const initContainers = restored(after.spec?.initContainers, before.spec?.initContainers);
  const containers = restored(after.spec?.containers, before.spec?.containers);
  if (initContainers === after.spec?.initContainers && containers === after.spec?.containers) return after;
  return { ...after, spec: { ...after.spec, ...(initContainers && { initContainers }), containers } };
}

function restoredContainer(container: Container, was: Container, targets: ReadonlyMap<string, ProbeTarget>): Container {
  let changed = container;
  for (const kind of PROBE_KINDS) {
    const field = `${kind}Probe` as const;
    const handler = restoredHandler(`${container.name}/${kind}`, container[field], was[field], container, targets);
    if (handler !== undefined) changed = { ...changed, [field]: handler };
  }
  for (const kind of HOOK_KINDS) {
    const handler = restoredHandler(`${container.name}/${kind}`, container.lifecycle?.[kind], was.lifecycle?.[kind], container, targets);
    if (handler !== undefined) changed = { ...changed, lifecycle: { ...changed.lifecycle, [kind]: handler } };
  }
  return changed;
}

/** undefined: it stays as the client sent it. */
function restoredHandler<T extends Probe | Hook>(
  key: string,
  sent: T | undefined,
  was: T | undefined,
  container: Container,
  targets: ReadonlyMap<string, ProbeTarget>,
): T | undefined {
  const target = targets.get(key);
  if (target === undefined || !sent || !was) return undefined;
  const ours = sidecarHandler(key, target.token);
  if (!isAsk(was.httpGet, ours)) return undefined;
  const { httpGet, tcpSocket, grpc, exec, ...others } = sent as Probe;
  if (isAsk(httpGet, ours) && !tcpSocket && !grpc && !exec) return undefined;
  // `kubectl apply` merges what a manifest says into what is there: of our handler, fields that the manifest does not
  // name are left over, or the whole of it beside the manifest's own.
  const { path, ...rest } = httpGet ?? {};
  const own = tcpSocket || grpc ? undefined : httpGet && { ...rest, ...(path !== ours.path && { path }) };
  const asked = probeTarget({ ...others, tcpSocket, grpc, exec, ...(own && { httpGet: own }) }, container);
  if (asked === null || typeof asked === 'string' || (httpGet?.host && own) || tcpSocket?.host) return undefined;
  // Two handlers of the client's own: a mistake that the API server must see.
  if (httpGet && !isAsk(httpGet, ours) && (tcpSocket || grpc)) return undefined;
  if (!isDeepStrictEqual({ ...asked, timeoutMs: 0 }, withoutTime(target))) return undefined;
  return { ...others, httpGet: was.httpGet } as unknown as T;
}

function isAsk(handler: HttpGet | undefined, ours: HttpGet): boolean {
  return handler?.port === ours.port && handler?.path === ours.path;
}

/** A target as probeTarget() would read it, but for its time. */
function withoutTime({ token: _, ...target }: ProbeTarget): ProbeTarget {
  return { ...target, timeoutMs: 0 };
}

function statusWithToken({ metadata }: InjectablePod): Record<string, string> {
  const annotations = metadata?.annotations ?? {};
  let status: unknown = {};
  try {
    status = JSON.parse(annotations[ANNOTATION_STATUS] ?? '{}');
  } catch {
    // It was never ours; what follows is.
  }
  return { ...annotations, [ANNOTATION_STATUS]: JSON.stringify({ ...(status as object), containers: OURS }) };
}

/** The old list where the new one has the very same elements. */
function kept<T>(old: T[] | undefined, next: T[] | undefined): T[] | undefined {
  return old !== undefined && next?.length === old.length && next.every((element, i) => element === old[i]) ? old : next;
}

function variableOf({ env }: Container, wanted: string): string {
  // $$ is a dollar sign: literal() of containers.ts.
  return env?.find(({ name }) => name === wanted)?.value?.replaceAll('$$', '$') ?? '';
}

function targetsOf(sidecar: Container): Map<string, ProbeTarget> {
  return parseProbes(variableOf(sidecar, 'WEFT_PROBES')).targets;
}

function withProbes(sidecar: Container, added: Readonly<Record<string, ProbeTarget>>): Container {
  if (Object.keys(added).length === 0) return sidecar;
  const variable = literal('WEFT_PROBES', formatProbes({ ...Object.fromEntries(targetsOf(sidecar)), ...added }));
  const env = sidecar.env ?? [];
  const at = env.findIndex(({ name }) => name === variable.name);
  return { ...sidecar, env: at < 0 ? [...env, variable] : env.with(at, variable) };
}

function resourcesIn({ resources }: Container): SidecarResources {
  const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
  return {
    cpuRequest: text(resources?.requests?.cpu),
    cpuLimit: text(resources?.limits?.cpu),
    memoryRequest: text(resources?.requests?.memory),
    memoryLimit: text(resources?.limits?.memory),
  };
}

function withResources(container: Container, wanted: SidecarResources): Container {
  const { requests, limits } = resourcesOf(wanted).resources ?? {};
  const { cpu: _1, memory: _2, ...otherRequests } = container.resources?.requests ?? {};
  const { cpu: _3, memory: _4, ...otherLimits } = container.resources?.limits ?? {};
  return {
    ...container,
    resources: { ...container.resources, requests: { ...otherRequests, ...requests }, limits: { ...otherLimits, ...limits } },
  };
}
