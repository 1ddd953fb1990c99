// The container that injection adds, and the volume that it reads.
import { SIDECAR_DEFAULTS, SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENVIRONMENT, type SidecarVariable } from '#core/contract/environment.ts';
import {
  SIDECAR_ADMIN_PORT,
  SIDECAR_CONTAINER,
  SIDECAR_USER_ID,
  TOKEN_AUDIENCE,
  TRUST_CONFIG_MAP,
  TRUST_KEY,
} from '#core/contract/names.ts';
import { formatProbes, type ProbeTarget } from '#core/contract/probes.ts';
import type { SidecarOptions, SidecarResources } from './annotations.ts';
import { IDENTITY_VOLUME, TOKEN_CONTAINER } from './decide.ts';
import type { Container } from './pod.ts';

const IDENTITY_PATH = '/var/run/secrets/weft.dev';
const TOKEN_SECONDS = 12 * 3600;

/** What all injected pods of an installation have in common; annotations change parts of it. */
export interface InjectionSettings extends SidecarOptions {
  /** Always, IfNotPresent, Never. */
  readonly imagePullPolicy: string;
  readonly trustDomain: string;
  /** host:port of the control plane. */
  readonly controlPlane: string;
  /** PEM: the roots at this moment, for pods that start before their namespace has the ConfigMap. */
  readonly trustRoots: string;
  /** URL of an OTLP/HTTP collector for spans; '': none. */
  readonly tracingEndpoint: string;
  /** Share of the traces that begin at a sidecar, 0 to 1; it means nothing without the endpoint. */
  readonly tracingSampling: number;
  /** What parseAccessLog() takes: the access log where no annotation says otherwise. */
  readonly accessLog: string;
  /** Version of Weft, which the status annotation names. */
  readonly version: string;
  /** Whether the node agent loads the capture rules; absent: each pod's sidecar container does. */
  readonly nodeAgent?: true;
}

/** What Pod Security `restricted` asks of a container, and the sidecar's own user. */
const RESTRICTED = {
  runAsUser: SIDECAR_USER_ID,
  runAsGroup: SIDECAR_USER_ID,
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** The container loads the capture rules itself, before it becomes the sidecar. */
const CAPTURING = {
  start: ['/weft/capture.mjs', '--'],
  gate: { lifecycle: { postStart: { exec: { command: ['node', '/weft/ready.mjs'] } } } },
  securityContext: {
    ...RESTRICTED,
    // nft(8) speaks netlink as root with NET_ADMIN; SETUID is for becoming the sidecar's user. Both are gone then.
    runAsUser: 0,
    runAsNonRoot: false,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'SETUID'] },
  },
};

/**
 * The node agent loads them. Nothing else of the pod may start before the sidecar has seen them in force, which only a
 * startup probe assures: the kubelet does not run a postStart command again when it was itself restarted, and goes on
 * when the command gives up (docs/decisions/0018).
 */
const UNDER_AGENT = {
  start: [],
  gate: {
    startupProbe: {
      exec: { command: ['node', '/weft/ready.mjs', '--startup'] },
      periodSeconds: 1,
      // The command answers by itself before that, or as soon as the sidecar is ready.
      timeoutSeconds: 15,
      // Never: a restart would not bring the agent back.
      failureThreshold: 2 ** 31 - 1,
    },
  },
  securityContext: RESTRICTED,
};

/**
 * The sidecar: a native one, so that it starts before and ends after everything else, and a Job can end. It begins as
 * root to load the capture rules, then becomes its own user for good; under the node agent it is that user from the
 * beginning. The kubelet starts the next container when the postStart command has ended (docs/decisions/0011), or the
 * startup probe has passed.
 */
export function sidecarContainer(settings: InjectionSettings, probes: Readonly<Record<string, ProbeTarget>>): Container {
  const { start, gate, securityContext } = settings.nodeAgent ? UNDER_AGENT : CAPTURING;
  return container({
    name: SIDECAR_CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    restartPolicy: 'Always',
    command: ['node', ...start, ...SIDECAR_NODE_FLAGS, '/weft/sidecar.mjs'],
    env: sidecarEnvironment(settings, probes),
    ports: [{ name: 'weft-admin', containerPort: SIDECAR_ADMIN_PORT, protocol: 'TCP' }],
    ...gate,
    // Once a second, so that a pod whose sidecar became ready does not wait for the next look. The answer does not
    // depend on the control plane being there.
    readinessProbe: { httpGet: { port: SIDECAR_ADMIN_PORT, path: '/readyz' }, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 3 },
    livenessProbe: { httpGet: { port: SIDECAR_ADMIN_PORT, path: '/livez' }, periodSeconds: 10, timeoutSeconds: 2, failureThreshold: 3 },
    ...resourcesOf(settings.resources),
    securityContext,
    volumeMounts: [{ name: IDENTITY_VOLUME, mountPath: IDENTITY_PATH, readOnly: true }],
  });
}

/**
 * A container that ends at once, added to pods whose containers all run as root: there the kubelet would make the
 * projected token root's alone (mode 0600), which the sidecar no longer is when it reads the token again. One container
 * of another user keeps it from doing so (FsUserFrom in Kubernetes' pkg/volume/util/util.go).
 */
export function tokenContainer(settings: InjectionSettings): Container {
  return container({
    name: TOKEN_CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    command: ['node', '--version'],
    ...resourcesOf(settings.resources),
    securityContext: RESTRICTED,
  });
}

/**
 * The volume with the pod's token for Weft and the roots by which the sidecar knows the control plane. Only the sidecar
 * mounts it.
 */
export function identityVolume(): { name: string } & Record<string, unknown> {
  return {
    name: IDENTITY_VOLUME,
    projected: {
      // The kubelet gives a projected token to a user only where all containers share runAsUser, which tokenContainer()
      // prevents; else the mode decides, and the sidecar's user is "other". With fsGroup the kubelet narrows it to 0640
      // and that group, which the sidecar keeps.
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { audience: TOKEN_AUDIENCE, expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        // Absent in a namespace's first seconds: WEFT_TRUST_ROOTS bridges them, and the kubelet adds the file when it
        // is there.
        { configMap: { name: TRUST_CONFIG_MAP, optional: true, items: [{ key: TRUST_KEY, path: `trust/${TRUST_KEY}` }] } },
      ],
    },
  };
}

/** One variable of a container. */
type Variable = { readonly name: SidecarVariable } & (
  | { readonly value: string }
  | { readonly valueFrom: { readonly fieldRef: { readonly fieldPath: string } } }
);

function sidecarEnvironment(settings: InjectionSettings, probes: Readonly<Record<string, ProbeTarget>>): Variable[] {
  const env: Variable[] = [
    { name: 'WEFT_CONTROL_PLANE', value: settings.controlPlane },
    { name: 'WEFT_TOKEN_FILE', value: `${IDENTITY_PATH}/token` },
    { name: 'WEFT_TRUST_BUNDLE_FILE', value: `${IDENTITY_PATH}/trust/${TRUST_KEY}` },
    { name: 'WEFT_TRUST_ROOTS', value: settings.trustRoots },
    { name: 'WEFT_TRUST_DOMAIN', value: settings.trustDomain },
    downward('WEFT_POD_NAMESPACE', 'metadata.namespace'),
    downward('WEFT_POD_NAME', 'metadata.name'),
    downward('WEFT_POD_IPS', 'status.podIPs'),
    { name: 'WEFT_ADMIN_ADDRESS', value: `[::]:${SIDECAR_ADMIN_PORT}` },
    { name: 'WEFT_CAPTURE', value: settings.nodeAgent ? 'agent' : 'enabled' },
  ];
  if (settings.skipInboundPorts !== '') env.push({ name: 'WEFT_SKIP_INBOUND_PORTS', value: settings.skipInboundPorts });
  if (settings.skipOutboundPorts !== '') env.push({ name: 'WEFT_SKIP_OUTBOUND_PORTS', value: settings.skipOutboundPorts });
  if (settings.opaquePorts !== '') env.push({ name: 'WEFT_OPAQUE_PORTS', value: settings.opaquePorts });
  if (Object.keys(probes).length > 0) env.push(literal('WEFT_PROBES', formatProbes(probes)));
  env.push({ name: 'WEFT_LOG_LEVEL', value: settings.logLevel }, { name: 'WEFT_DRAIN_SECONDS', value: String(settings.drainSeconds) });
  if (settings.tracingEndpoint !== '') {
    env.push(
      literal('OTEL_EXPORTER_OTLP_ENDPOINT', settings.tracingEndpoint),
      { name: 'OTEL_TRACES_SAMPLER', value: 'parentbased_traceidratio' },
      { name: 'OTEL_TRACES_SAMPLER_ARG', value: String(settings.tracingSampling) },
    );
  }
  if (settings.accessLog !== SIDECAR_DEFAULTS.WEFT_ACCESS_LOG) env.push(literal('WEFT_ACCESS_LOG', settings.accessLog));
  env.push({ name: 'MALLOC_ARENA_MAX', value: SIDECAR_PROCESS_ENVIRONMENT.MALLOC_ARENA_MAX });
  return env;
}

/**
 * The kubelet replaces $(NAME) in values; $$ is a dollar sign (kubernetes.io, "Define dependent environment
 * variables").
 */
export function literal(name: SidecarVariable, value: string): { readonly name: SidecarVariable; readonly value: string } {
  return { name, value: value.replaceAll('$', '$$$$') };
}

function downward(name: SidecarVariable, fieldPath: string): Variable {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** A container's `resources`, absent where nothing is asked for. */
export function resourcesOf(resources: SidecarResources): { resources?: Record<string, Record<string, string>> } {
  const requests = present({ cpu: resources.cpuRequest, memory: resources.memoryRequest });
  const limits = present({ cpu: resources.cpuLimit, memory: resources.memoryLimit });
  if (requests === undefined && limits === undefined) return {};
  return { resources: { ...(requests && { requests }), ...(limits && { limits }) } };
}

function present(values: Record<string, string>): Record<string, string> | undefined {
  const entries = Object.entries(values).filter(([, value]) => value !== '');
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** The last lines of the log become the container's termination message: `kubectl describe pod` then says why. */
function container(fields: Container & Record<string, unknown>): Container {
  const { env, ...others } = fields;
  return {
    ...others,
    ...(Array.isArray(env) && env.length > 0 && { env }),
    terminationMessagePolicy: 'FallbackToLogsOnError',
  } as Container;
}
