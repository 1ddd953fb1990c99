// Probes and hooks that reach the application past the mesh: the kubelet asks the sidecar's admin port, and the sidecar
// asks the application. Under STRICT the kubelet, which has no certificate, would otherwise be refused.
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { includesPort, type PortRange } from '#core/contract/port-ranges.ts';
import {
  DEFAULT_PROBE_TIMEOUT_MS,
  HOOK_KINDS,
  LONGEST_PROBE_TIMEOUT_MS,
  PROBE_KINDS,
  PROBE_PATH,
  type ProbeTarget,
} from '#core/contract/probes.ts';
import type { Container, Hook, HttpGet, InjectablePod, Probe } from './pod.ts';

export interface RewrittenProbes {
  /** The containers, those without a rewritten probe being the very same objects. */
  readonly initContainers: Container[] | undefined;
  readonly containers: Container[] | undefined;
  /** By `<container>/<startup|readiness|liveness|postStart|preStop>`. */
  readonly targets: Readonly<Record<string, ProbeTarget>>;
  readonly warnings: readonly string[];
}

const SCHEMES = ['HTTP', 'HTTPS'];
/** apimachinery's IsHTTPHeaderName. */
const HEADER_NAME = /^[-A-Za-z0-9]+$/;

/**
 * Rewrites all HTTP, TCP and gRPC probes and hooks of a pod. It leaves alone: exec and sleep; ports that are not captured
 * (`skipInbound`); those with a `host`, which go elsewhere than to the pod; named ports that the container does not
 * declare (the kubelet would fail on them too; a warning says so); what the API server refuses, because it judges the
 * pod after us and must still find the mistake.
 * @param hookToken what no client can guess, for the URLs of hooks
 */
export function rewriteProbes(pod: InjectablePod, skipInbound: readonly PortRange[], hookToken: string): RewrittenProbes {
  const targets: Record<string, ProbeTarget> = {};
  const warnings: string[] = [];
  const rewrite = (container: Container): Container => {
    let changed: Container = container;
    const settle = <T extends Probe | Hook>(
      at: string,
      kind: string,
      handler: T | undefined,
      target: ProbeTarget | string | null,
    ): T | null => {
      if (typeof target === 'string') warnings.push(`container ${container.name}: ${at}: ${target}`);
      if (handler === undefined || target === null || typeof target === 'string') return null;
      const key = `${container.name}/${kind}`;
      targets[key] = target;
      return rewritten(handler, key, target.token);
    };
    for (const kind of PROBE_KINDS) {
      const field = `${kind}Probe` as const;
      const probe = container[field];
      if (!probe) continue;
      const made = settle(field, kind, probe, targetOf(probe, container, skipInbound));
      if (made !== null) changed = { ...changed, [field]: made };
    }
    for (const kind of HOOK_KINDS) {
      const hook = container.lifecycle?.[kind];
      if (!hook) continue;
      const made = settle(`lifecycle.${kind}`, kind, hook, hookTargetOf(hook, container, skipInbound, hookToken));
      if (made !== null) changed = { ...changed, lifecycle: { ...changed.lifecycle, [kind]: made } };
    }
    return changed;
  };
  return {
    // Init containers have probes and hooks only as native sidecars.
    initContainers: pod.spec?.initContainers?.map((container) => (container.restartPolicy === 'Always' ? rewrite(container) : container)),
    containers: pod.spec?.containers?.map(rewrite),
    targets,
    warnings,
  };
}

/** The handler that asks the sidecar for what a container's probe or hook asked. */
export function sidecarHandler(key: string, token: string | undefined): HttpGet {
  return { port: SIDECAR_ADMIN_PORT, path: `${PROBE_PATH}${key}${token === undefined ? '' : `?${token}`}` };
}

/** The same probe with another handler: periods and thresholds, known or not, stay. */
function rewritten<T extends Probe | Hook>(probe: T, key: string, token: string | undefined): T {
  const { httpGet: _http, tcpSocket: _tcp, grpc: _grpc, ...kept } = probe;
  return { httpGet: sidecarHandler(key, token), ...kept } as unknown as T;
}

/** null: to be left alone; a text: to be left alone, and why that is noteworthy. */
function targetOf(probe: Probe, container: Container, skipInbound: readonly PortRange[], what = 'probe'): ProbeTarget | string | null {
  if (probe.httpGet?.host || probe.tcpSocket?.host) return null;
  const target = probeTarget(probe, container);
  if (typeof target === 'string') return `${target}; the ${what} is left as it is`;
  if (target === null) return null;
  const port = portOfTarget(target);
  return port === SIDECAR_ADMIN_PORT || includesPort(skipInbound, port) ? null : target;
}

/** The kubelet lets a hook take as long as it likes, within the pod's grace period. */
function hookTargetOf(hook: Hook, container: Container, skipInbound: readonly PortRange[], token: string): ProbeTarget | string | null {
  if (hook.sleep !== undefined) return null;
  const { httpGet, tcpSocket, exec } = hook;
  const target = targetOf({ httpGet, tcpSocket, exec }, container, skipInbound, 'hook');
  return target === null || typeof target === 'string' ? target : { ...target, timeoutMs: LONGEST_PROBE_TIMEOUT_MS, token };
}

/** The port that a probe asks. */
export function portOfTarget({ http, tcp, grpc }: ProbeTarget): number {
  return (http ?? tcp ?? grpc)!.port;
}

/**
 * What a probe of a container asks, wherever it asks it: a `host` is not read.
 * @returns null: it runs a command, or the API server refuses it; a text: why the kubelet cannot ask
 */
export function probeTarget(probe: Probe, container: Pick<Container, 'ports'>): ProbeTarget | string | null {
  const { httpGet, tcpSocket, grpc } = probe;
  const handler = httpGet ?? tcpSocket ?? grpc;
  if (!handler || [httpGet, tcpSocket, grpc, probe.exec].filter(Boolean).length !== 1) return null;
  const port = portOf(handler.port, container);
  if (port === null) return `container declares no port named ${JSON.stringify(handler.port)}`;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return null;
  const timeoutMs = Math.min(1000 * (probe.timeoutSeconds ?? 0) || DEFAULT_PROBE_TIMEOUT_MS, LONGEST_PROBE_TIMEOUT_MS);
  if (tcpSocket) return { timeoutMs, tcp: { port } };
  if (grpc) return { timeoutMs, grpc: { port, service: grpc.service ?? '' } };
  const headers = (httpGet!.httpHeaders ?? []).map(({ name = '', value = '' }) => ({ name, value }));
  if (!SCHEMES.includes(httpGet!.scheme || 'HTTP') || headers.some(({ name }) => !HEADER_NAME.test(name))) return null;
  const http = { port, path: httpGet!.path || '/', scheme: httpGet!.scheme === 'HTTPS' ? ('HTTPS' as const) : ('HTTP' as const) };
  return { timeoutMs, http: headers.length === 0 ? http : { ...http, headers } };
}

function portOf(port: unknown, container: Pick<Container, 'ports'>): number | null {
  if (typeof port === 'number') return port;
  if (typeof port !== 'string') return null;
  const declared = container.ports?.find(({ name }) => name === port)?.containerPort;
  if (typeof declared === 'number') return declared;
  return /^\d{1,5}$/.test(port) ? Number(port) : null;
}
