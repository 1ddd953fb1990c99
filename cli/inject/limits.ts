// The LimitRanges and ResourceQuotas that sidecars of manifests are fitted to: those of the cluster, and those in the
// manifests themselves.
import { LimitCache, projectLimitRange, projectQuota } from '#injector/limit-cache.ts';
import type { NamespaceLimits } from '#injector/limits.ts';
import { isObject } from '#injector/pod.ts';
import { KINDS, type KubeClient, type ServedKind } from '#kube/api.ts';
import { listAll } from '#kube/list.ts';
import type { KubeObject } from '#kube/object.ts';

export type LimitsOf = (namespace: string) => NamespaceLimits;

const READ_MS = 10_000;

/**
 * Those of the cluster. Who may not read them can inject all the same.
 * @returns `problem`: why sidecars are not fitted to all of them; '' they are
 */
export async function clusterLimits(client: KubeClient): Promise<{ limitsOf: LimitsOf; problem: string }> {
  const cache = new LimitCache();
  const problems: string[] = [];
  const read = async (kind: ServedKind, project: (raw: Record<string, unknown>) => KubeObject, handler: LimitCache['rangeHandler']) => {
    const items: KubeObject[] = [];
    const signal = AbortSignal.timeout(READ_MS);
    try {
      await listAll(client, { kind }, { query: {}, signal, item: (raw) => items.push(project(raw)), restart: () => items.splice(0) });
      handler.synced(items);
    } catch (error) {
      problems.push((error as Error).message);
    }
  };
  await Promise.all([
    read(KINDS.LimitRange, projectLimitRange, cache.rangeHandler),
    read(KINDS.ResourceQuota, projectQuota, cache.quotaHandler),
  ]);
  return { limitsOf: (namespace) => cache.of(namespace), problem: problems.join('; ') };
}

/**
 * Those among the objects of a text, which will hold beside the others.
 * @param byDefault the namespace of objects that name none
 */
export function limitsAmong(values: readonly unknown[], byDefault: string, others: LimitsOf): LimitsOf {
  const cache = new LimitCache();
  for (const value of values) {
    if (!isObject(value) || (value.kind !== 'LimitRange' && value.kind !== 'ResourceQuota')) continue;
    const [project, handler] = value.kind === 'LimitRange' ? [projectLimitRange, cache.rangeHandler] : [projectQuota, cache.quotaHandler];
    const kept = project(value);
    handler.applied({ ...kept, metadata: { ...kept.metadata, namespace: kept.metadata?.namespace || byDefault } });
  }
  return (namespace) => {
    const [here, there] = [cache.of(namespace), others(namespace)];
    return { ranges: [...there.ranges, ...here.ranges], counted: [...there.counted, ...here.counted] };
  };
}
