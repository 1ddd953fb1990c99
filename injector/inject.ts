// Pod in, pod with a sidecar out. Pure; shared by the webhook and `weft inject`. Untouched parts of the pod are the
// very same objects.
import { isLabelValue, meantLabelValue } from '#core/contract/labels.ts';
import {
  ANNOTATION_SETTINGS,
  ANNOTATION_STATUS,
  LABEL_MTLS,
  SIDECAR_ADMIN_PORT,
  SIDECAR_CONTAINER,
  SIDECAR_INBOUND_PORT,
  SIDECAR_OUTBOUND_PORT,
  STATUS_OPAQUE_PORTS,
  STATUS_SKIP_INBOUND_PORTS,
} from '#core/contract/names.ts';
import { parsePortRanges } from '#core/contract/port-ranges.ts';
import { applyAnnotations } from './annotations.ts';
import { type InjectionSettings, identityVolume, sidecarContainer, tokenContainer } from './containers.ts';
import { type NamespaceFacts, TOKEN_CONTAINER } from './decide.ts';
import { fitResources, type NamespaceLimits, runningTogether } from './limits.ts';
import type { InjectablePod } from './pod.ts';
import { rewriteProbes } from './probes.ts';
import { settingsHash } from './settings-hash.ts';

const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';
const PROMETHEUS = ['prometheus.io/scrape', 'prometheus.io/port', 'prometheus.io/path'];

export interface Injected {
  readonly pod: InjectablePod;
  /** For the client that creates the pod: values that were not taken, probes that could not be rewritten. */
  readonly warnings: readonly string[];
}

/** What is another for each pod. */
export interface InjectionFacts {
  /** What no client can guess: the URLs of the pod's hooks end with it. */
  readonly hookToken: string;
  /** What limits the pods of its namespace. */
  readonly limits: NamespaceLimits;
}

/**
 * Adds sidecar, volume and annotations to a pod for which `decide` said yes. Given its own result it would add them
 * again: reinject() is there for pods that have been injected.
 */
export function inject(
  pod: InjectablePod,
  namespace: NamespaceFacts,
  settings: InjectionSettings,
  { hookToken, limits }: InjectionFacts,
): Injected {
  const { options, warnings } = applyAnnotations(settings, namespace.annotations, pod.metadata?.annotations ?? {});
  const fitted = fitResources(options.resources, limits, runningTogether(pod, []));
  const effective: InjectionSettings = { ...settings, ...options, resources: fitted.resources };
  const probes = rewriteProbes(pod, parsePortRanges(effective.skipInboundPorts).ranges, hookToken);
  const spec = pod.spec ?? {};
  return {
    pod: {
      ...pod,
      metadata: {
        ...pod.metadata,
        annotations: { ...annotationsOf(pod, effective, settings.opaquePorts), [ANNOTATION_SETTINGS]: settingsHash(settings) },
      },
      spec: {
        ...spec,
        initContainers: [
          ...(needsTokenContainer(pod, settings) ? [tokenContainer(effective)] : []),
          sidecarContainer(effective, probes.targets),
          ...(probes.initContainers ?? []),
        ],
        containers: probes.containers,
        volumes: [...(spec.volumes ?? []), identityVolume()],
      },
    },
    warnings: [...warnings, ...fitted.problems, ...probes.warnings, ...mtlsWarning(pod), ...portWarnings(pod)],
  };
}

/**
 * Whether the pod says of each of its containers that it runs as root, as the sidecar's own then does; an image's own
 * user does not count. Under the node agent the sidecar's is another user.
 */
export function needsTokenContainer({ spec }: InjectablePod, { nodeAgent }: Pick<InjectionSettings, 'nodeAgent'>): boolean {
  if (nodeAgent) return false;
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  return (
    containers.length > 0 &&
    containers.every(({ securityContext }) => (securityContext?.runAsUser ?? spec?.securityContext?.runAsUser) === 0)
  );
}

/** @param usuallyOpaque what the installation says of ports that no annotation names */
function annotationsOf(pod: InjectablePod, settings: InjectionSettings, usuallyOpaque: string): Record<string, string> {
  const { version, skipInboundPorts, opaquePorts } = settings;
  const own = pod.metadata?.annotations ?? {};
  const added: Record<string, string> = {};
  const first = pod.spec?.containers?.[0]?.name;
  // Otherwise `kubectl logs` and `exec` would take the sidecar or ask.
  if (own[DEFAULT_CONTAINER] === undefined && first !== undefined) added[DEFAULT_CONTAINER] = first;
  // A pod that names any of them has its own metrics.
  if (PROMETHEUS.every((key) => own[key] === undefined)) {
    const [scrape, port, path] = PROMETHEUS;
    Object.assign(added, { [scrape]: 'true', [port]: String(SIDECAR_ADMIN_PORT), [path]: '/metrics' });
  }
  added[ANNOTATION_STATUS] = JSON.stringify({
    version,
    containers: needsTokenContainer(pod, settings) ? [TOKEN_CONTAINER, SIDECAR_CONTAINER] : [SIDECAR_CONTAINER],
    // The control plane reports it to callers, whose sidecars would else speak mTLS to these ports.
    ...(skipInboundPorts === '' ? {} : { [STATUS_SKIP_INBOUND_PORTS]: skipInboundPorts }),
    ...(opaquePorts === '' || opaquePorts === usuallyOpaque ? {} : { [STATUS_OPAQUE_PORTS]: opaquePorts }),
  });
  return { ...own, ...added };
}

/** What is wrong with the pod's own mTLS label. */
export function mtlsWarning(pod: Pick<InjectablePod, 'metadata'>): string[] {
  const mode = pod.metadata?.labels?.[LABEL_MTLS];
  if (mode === undefined || isLabelValue(LABEL_MTLS, mode)) return [];
  const near = meantLabelValue(LABEL_MTLS, mode);
  return [
    `pod label ${LABEL_MTLS}: ${JSON.stringify(mode)} must be permissive or strict${near === undefined ? '' : `, did you mean ${near}?`}`,
  ];
}

const SIDECAR_PORTS = [SIDECAR_OUTBOUND_PORT, SIDECAR_INBOUND_PORT, SIDECAR_ADMIN_PORT];

/** A container that listens where the sidecar does makes one of the two fail. */
function portWarnings({ spec }: InjectablePod): string[] {
  const staying = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...staying, ...(spec?.containers ?? [])].flatMap(({ name, ports }) =>
    (ports ?? [])
      .filter(({ containerPort = 0 }) => SIDECAR_PORTS.includes(containerPort))
      .map(({ containerPort }) => `container ${name}: port ${containerPort} is the sidecar's; one of the two will not start`),
  );
}
