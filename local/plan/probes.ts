// The probes of a container: when they ask what, read as injection and the kubelet read them. Pure.
import type { ProbeTarget } from '#core/contract/probes.ts';
import { DEFAULT_PROBE_TIMEOUT_MS, LONGEST_PROBE_TIMEOUT_MS } from '#core/contract/probes.ts';
import type { Probe } from '#injector/pod.ts';
import { probeTarget } from '#injector/probes.ts';
import { expand } from './environment.ts';
import type { ManifestContainer, ManifestProbe } from './manifests.ts';

/** What a probe asks. */
export type ProbeQuestion =
  /** `host`: where, '' the pod. */
  | { readonly kind: 'target'; readonly target: ProbeTarget; readonly host: string }
  /** A command, which is to end with code 0. */
  | { readonly kind: 'exec'; readonly argv: readonly string[]; readonly timeoutMs: number }
  /** It can never succeed, on a cluster neither. */
  | { readonly kind: 'never'; readonly why: string };

/** Times in ms. The defaults are Kubernetes' (kubernetes.io, "Configure Liveness, Readiness and Startup Probes"). */
export interface PlannedProbe {
  readonly question: ProbeQuestion;
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** @param env of the container: $(NAME) in a command is replaced as the kubelet does */
export function planProbe(container: ManifestContainer, env: Readonly<Record<string, string>>): PlannedProbe | null {
  const probe = container.readinessProbe;
  if (!probe) return null;
  return {
    question: questionOf(probe, container, env),
    initialDelayMs: seconds(probe.initialDelaySeconds, 0),
    periodMs: seconds(probe.periodSeconds, 10),
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
  };
}

function questionOf(probe: ManifestProbe, container: ManifestContainer, env: Readonly<Record<string, string>>): ProbeQuestion {
  const { httpGet, tcpSocket, exec } = probe;
  const command = exec?.command;
  if (command?.length && !httpGet && !tcpSocket && !probe.grpc) {
    const timeoutMs = Math.min(seconds(probe.timeoutSeconds, DEFAULT_PROBE_TIMEOUT_MS / 1000), LONGEST_PROBE_TIMEOUT_MS);
    return { kind: 'exec', argv: command.map((word) => expand(String(word), env)), timeoutMs };
  }
  const target = probeTarget(probe as Probe, container as { ports?: { name?: string; containerPort?: number }[] });
  if (typeof target === 'string') return { kind: 'never', why: target };
  if (target === null) return { kind: 'never', why: 'it must have exactly one of httpGet, tcpSocket, grpc and exec, with usable values' };
  return { kind: 'target', target, host: httpGet?.host || tcpSocket?.host || '' };
}

/** 0 is as if it were absent. */
function seconds(value: number | undefined, otherwise: number): number {
  return (value || otherwise) * 1000;
}
