// The sidecar's environment: what injection and `weft run` write and the sidecar's programs read, each name with its
// meaning and default.

import { DEFAULT_TRUST_DOMAIN, SIDECAR_ADMIN_PORT } from './names.ts';

/** Names and texts. Those without a question mark have no default: without them the sidecar does not start. */
export interface SidecarEnvironment {
  /** host:port of the control plane's gRPC services; without a port 15012. */
  readonly WEFT_CONTROL_PLANE: string;
  /** The file of the pod's ServiceAccount token, audience weft; it is read anew for each certificate. */
  readonly WEFT_TOKEN_FILE: string;
  /** The file of PEM roots to trust the control plane by, until it sends newer ones. */
  readonly WEFT_TRUST_BUNDLE_FILE: string;
  /** PEM roots as they were when the pod was made, used while that file is absent. */
  readonly WEFT_TRUST_ROOTS?: string;
  readonly WEFT_TRUST_DOMAIN?: string;
  readonly WEFT_POD_NAMESPACE: string;
  readonly WEFT_POD_NAME: string;
  /** The pod's addresses, a comma list, the primary one first; absent where there is no pod. Capture needs it. */
  readonly WEFT_POD_IPS?: string;
  /** host:port of /readyz, /livez, /metrics, /stats and /config_dump; without a port 15020. */
  readonly WEFT_ADMIN_ADDRESS?: string;
  /**
   * enabled: rules redirect the pod's traffic to the sidecar, loaded by its own container. agent: the same, loaded by
   * the node agent. disabled: explicit listeners only.
   */
  readonly WEFT_CAPTURE?: string;
  /**
   * Ports that inbound capture leaves alone: a comma list with ranges, as in the next two. Read by the capture program.
   */
  readonly WEFT_SKIP_INBOUND_PORTS?: string;
  /** Ports that outbound capture leaves alone. Read by the capture program. */
  readonly WEFT_SKIP_OUTBOUND_PORTS?: string;
  /** Ports whose connections are passed as TCP without a look at their first octets. */
  readonly WEFT_OPAQUE_PORTS?: string;
  /** JSON of the probes that injection pointed at the sidecar: core/contract/probes.ts. */
  readonly WEFT_PROBES?: string;
  /** debug, info, warn, error or off. */
  readonly WEFT_LOG_LEVEL?: string;
  /** json or text. */
  readonly WEFT_LOG_FORMAT?: string;
  /** How long calls may go on after SIGTERM, 0 to 3600 seconds. */
  readonly WEFT_DRAIN_SECONDS?: string;
  /** Which calls are logged until the control plane says otherwise (docs/reference/access-log.md). */
  readonly WEFT_ACCESS_LOG?: string;
  /**
   * A collector of traces and its sampler: OpenTelemetry's own variables, of which we write these three and read some
   * more (sidecar/observe/tracing/settings.ts;
   * opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
   */
  readonly OTEL_EXPORTER_OTLP_ENDPOINT?: string;
  readonly OTEL_TRACES_SAMPLER?: string;
  readonly OTEL_TRACES_SAMPLER_ARG?: string;
  /** Read by the C library: SIDECAR_PROCESS_ENVIRONMENT. */
  readonly MALLOC_ARENA_MAX?: string;
}

export type SidecarVariable = keyof SidecarEnvironment;

/** An environment as a program finds it: any of the names may be absent or empty. */
export type FoundEnvironment = { readonly [Name in SidecarVariable]?: string | undefined };

/** What WEFT_CAPTURE can be. */
export type CaptureMode = 'enabled' | 'agent' | 'disabled';

/** What holds where a variable is absent. */
export const SIDECAR_DEFAULTS = {
  WEFT_TRUST_ROOTS: '',
  WEFT_TRUST_DOMAIN: DEFAULT_TRUST_DOMAIN,
  WEFT_POD_IPS: '',
  WEFT_ADMIN_ADDRESS: `127.0.0.1:${SIDECAR_ADMIN_PORT}`,
  WEFT_CAPTURE: 'disabled',
  WEFT_SKIP_INBOUND_PORTS: '',
  WEFT_SKIP_OUTBOUND_PORTS: '',
  WEFT_OPAQUE_PORTS: '',
  WEFT_PROBES: '',
  WEFT_LOG_LEVEL: 'info',
  WEFT_LOG_FORMAT: 'json',
  WEFT_DRAIN_SECONDS: '30',
  WEFT_ACCESS_LOG: 'off',
} as const satisfies Partial<SidecarEnvironment>;

/**
 * How the sidecar's process is started. So that it stays small: a young generation in which the calls that are in
 * flight fit, an old one that grows by little, as what lives long in it is some 10 MiB; one thread of V8's own; and
 * `gc`, with which sidecar/main.ts gives back what starting left behind. So that a new load is not held up: V8's last
 * compiler, which takes 3 to 15 ms of the core for a function, begins only where a function is called so often that it
 * pays (by default after 3,000 calls, in the midst of the first seconds).
 */
export const SIDECAR_NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=2',
  '--heap-growing-percent=40',
  '--invocation-count-for-turbofan=100000',
  '--v8-pool-size=1',
  '--expose-gc',
];

/**
 * One arena of the C library for all threads: each further one costs half a MiB (21.6 → 20.0 MiB anonymous when idle).
 */
export const SIDECAR_PROCESS_ENVIRONMENT = { MALLOC_ARENA_MAX: '1' } as const satisfies Partial<SidecarEnvironment>;
