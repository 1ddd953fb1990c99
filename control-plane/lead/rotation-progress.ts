// What a rotation of the authority waits for: in words, from what all replicas say. Pure.
import type { TrustProgress } from '../publish/standings.ts';

/**
 * Pods that no replica is connected to, and namespaces that lack the roots, are waited for during so long. Who comes
 * back later has the roots from the ConfigMap in its pod. Whoever is connected is waited for without an end.
 */
export const AWAY_WITHIN_MS = 10 * 60_000;
const MOST_NAMED = 3;

export interface RotationFacts {
  /** Names of the control plane's pods that run, the leader's own included. */
  readonly replicas: readonly string[];
  /** By name, the leader's own included. */
  readonly reports: ReadonlyMap<string, TrustProgress>;
  /** Of the bundle as the leader sends it. */
  readonly version: string;
  /** Running pods with a sidecar. */
  readonly meshedPods: number;
  /** Namespaces whose ConfigMap does not hold the roots yet. */
  readonly namespaces: readonly string[];
}

/**
 * Until all that are there trust the roots; empty: they do.
 * @param forMs so long they have been sent
 */
export function waitsForTrust(facts: RotationFacts, forMs: number): string[] {
  const waits = [...waitsForReplicas(facts), ...facts.replicas.flatMap((replica) => behindOn(replica, facts))];
  if (forMs >= AWAY_WITHIN_MS) return waits;
  const { namespaces } = facts;
  if (namespaces.length > 0)
    waits.push(`the roots in the ConfigMap of ${counted(namespaces.length, 'namespace')}: ${someOf(namespaces, namespaces.length)}`);
  return [...waits, ...awayPods(facts)];
}

/** Until no leaf of an old authority is left; empty: none is. */
export function waitsForLeaves(facts: RotationFacts): string[] {
  const old = facts.replicas.flatMap((replica) => {
    const report = facts.reports.get(replica);
    if (report === undefined || report.version !== facts.version || report.old === 0) return [];
    return [
      `${counted(report.old, 'sidecar')} of ${replica} whose certificate is not known to be of the new authority: ${someOf(report.oldPods, report.old)}`,
    ];
  });
  return [...waitsForReplicas(facts), ...old, ...awayPods(facts)];
}

function waitsForReplicas({ replicas, reports, version }: RotationFacts): string[] {
  const mute = replicas.filter((replica) => reports.get(replica)?.version !== version);
  return mute.length === 0
    ? []
    : [`${counted(mute.length, 'replica')} of the control plane to send the roots: ${someOf(mute, mute.length)}`];
}

function behindOn(replica: string, { reports, version }: RotationFacts): string[] {
  const report = reports.get(replica);
  if (report === undefined || report.version !== version || report.behind === 0) return [];
  return [`${counted(report.behind, 'sidecar')} of ${replica} to trust the roots: ${someOf(report.behindPods, report.behind)}`];
}

function awayPods({ replicas, reports, meshedPods }: RotationFacts): string[] {
  const connected = replicas.reduce((sum, replica) => sum + (reports.get(replica)?.connected ?? 0), 0);
  return meshedPods > connected
    ? [
        `${counted(meshedPods - connected, 'pod')} with a sidecar that ${meshedPods - connected === 1 ? 'is' : 'are'} connected to no replica`,
      ]
    : [];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function someOf(names: readonly string[], all: number): string {
  const named = names.slice(0, MOST_NAMED);
  return all > named.length ? `${named.join(', ')} and ${all - named.length} more` : named.join(', ');
}
