// The sidecar's settings: every environment name, its default and its meaning in one place. All mistakes are reported together.
import { type AccessLogRule, parseAccessLog } from '#core/contract/access-filter.ts';
import { CONTROL_PLANE_GRPC_PORT, DEFAULT_TRUST_DOMAIN, SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { type PortRange, parsePortRanges } from '#core/contract/port-ranges.ts';
import { isLogLevel, LOG_LEVELS, type LogLevel } from '#core/program/log.ts';
import { readTracingSettings, type TracingSettings } from '../observe/tracing/settings.ts';
import { type ProbeTarget, parseProbes } from '../pod/probe/targets.ts';

export interface SidecarSettings {
  /** WEFT_CONTROL_PLANE: host:port of the control plane's gRPC services. */
  readonly controlPlane: { readonly host: string; readonly port: number };
  /** WEFT_TOKEN_FILE: the pod's ServiceAccount token, audience weft; read anew for each certificate. */
  readonly tokenFile: string;
  /** WEFT_TRUST_BUNDLE_FILE: PEM roots to trust the control plane by, until it sends newer ones. */
  readonly trustBundleFile: string;
  /** WEFT_TRUST_ROOTS: PEM roots as they were when the pod was made, used where that file is absent; '': none. */
  readonly trustRoots: string;
  /** WEFT_TRUST_DOMAIN, default cluster.local. */
  readonly trustDomain: string;
  /** WEFT_POD_NAMESPACE and WEFT_POD_NAME. */
  readonly namespace: string;
  readonly pod: string;
  /** WEFT_ADMIN_ADDRESS: host:port of /readyz, /livez, /metrics, /stats, /config_dump. Default 127.0.0.1:15020. */
  readonly admin: { readonly host: string; readonly port: number };
  /** WEFT_LOG_LEVEL: debug, info, warn, error or off; default info. */
  readonly logLevel: LogLevel | 'off';
  /** WEFT_LOG_FORMAT: json or text; default json. */
  readonly logFormat: 'json' | 'text';
  /** WEFT_ACCESS_LOG: which calls are logged until the control plane says otherwise (docs/reference/access-log.md); null: none, the default. */
  readonly accessLog: AccessLogRule | null;
  /** OTEL_…: spans of calls, and where they go. */
  readonly tracing: TracingSettings;
  /** WEFT_DRAIN_SECONDS: how long calls may go on after SIGTERM (L9); default 30. */
  readonly drainMs: number;
  /** WEFT_CAPTURE: "enabled" where rules redirect the pod's traffic to us; default disabled (explicit listeners only). */
  readonly capture: boolean;
  /** WEFT_POD_IPS: the pod's addresses, comma list, the primary one first; none where there is no pod. */
  readonly podIps: readonly string[];
  /** WEFT_OPAQUE_PORTS: ports whose connections are passed as TCP without a look at their first octets; comma list with ranges. */
  readonly opaquePorts: readonly PortRange[];
  /** WEFT_PROBES: JSON of the probes that injection pointed at us, "<container>/<kind>" → what to ask the application. */
  readonly probes: ReadonlyMap<string, ProbeTarget>;
}

/**
 * Reads the settings from an environment.
 * @returns the settings, or one message per mistake
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): { settings: SidecarSettings } | { problems: string[] } {
  const problems: string[] = [];
  const required = (name: string, what: string): string => {
    const value = env[name] ?? '';
    if (value === '') problems.push(`${name} is not set: ${what}`);
    return value;
  };
  const hostPort = (name: string, value: string, defaultPort: number): { host: string; port: number } => {
    const match = /^(\[[^\]]+\]|[^:]+)(?::([0-9]+))?$/.exec(value);
    const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
    if (value !== '' && (match === null || port < 1 || port > 65535)) problems.push(`${name} must be host or host:port, not "${value}"`);
    return { host: (match?.[1] ?? '').replace(/^\[|\]$/g, ''), port };
  };
  const level = env.WEFT_LOG_LEVEL ?? 'info';
  if (!isLogLevel(level)) problems.push(`WEFT_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}, not "${level}"`);
  const format = env.WEFT_LOG_FORMAT ?? 'json';
  if (format !== 'json' && format !== 'text') problems.push(`WEFT_LOG_FORMAT must be json or text, not "${format}"`);
  let accessLog: AccessLogRule | null = null;
  try {
    accessLog = parseAccessLog(env.WEFT_ACCESS_LOG || 'off');
  } catch (error) {
    problems.push(`WEFT_ACCESS_LOG: ${(error as RangeError).message}`);
  }
  const drainSeconds = Number(env.WEFT_DRAIN_SECONDS ?? '30');
  if (!(drainSeconds >= 0 && drainSeconds <= 3600))
    problems.push(`WEFT_DRAIN_SECONDS must be a number from 0 to 3600, not "${env.WEFT_DRAIN_SECONDS}"`);
  const capture = env.WEFT_CAPTURE || 'disabled';
  if (capture !== 'enabled' && capture !== 'disabled') problems.push(`WEFT_CAPTURE must be enabled or disabled, not "${capture}"`);
  const podIps = (env.WEFT_POD_IPS ?? '')
    .split(',')
    .map((ip) => ip.trim())
    .filter((ip) => ip !== '');
  for (const ip of podIps) if (!/^[0-9a-f]*[.:][0-9a-f.:]*$/i.test(ip)) problems.push(`WEFT_POD_IPS: "${ip}" is no IP address`);
  if (capture === 'enabled' && podIps.length === 0)
    problems.push("WEFT_POD_IPS is not set: the pod's addresses, which WEFT_CAPTURE=enabled needs");
  const opaquePorts = parsePortRanges(env.WEFT_OPAQUE_PORTS ?? '');
  const probes = parseProbes(env.WEFT_PROBES ?? '');
  problems.push(...opaquePorts.problems.map((problem) => `WEFT_OPAQUE_PORTS: ${problem}`), ...probes.problems);
  const settings: SidecarSettings = {
    controlPlane: hostPort('WEFT_CONTROL_PLANE', required('WEFT_CONTROL_PLANE', 'host:port of the control plane'), CONTROL_PLANE_GRPC_PORT),
    tokenFile: required('WEFT_TOKEN_FILE', "the file of the pod's ServiceAccount token"),
    trustBundleFile: required('WEFT_TRUST_BUNDLE_FILE', 'the file of PEM roots to trust the control plane by'),
    trustRoots: env.WEFT_TRUST_ROOTS ?? '',
    trustDomain: env.WEFT_TRUST_DOMAIN || DEFAULT_TRUST_DOMAIN,
    namespace: required('WEFT_POD_NAMESPACE', "the pod's namespace"),
    pod: required('WEFT_POD_NAME', "the pod's name"),
    admin: hostPort('WEFT_ADMIN_ADDRESS', env.WEFT_ADMIN_ADDRESS || '127.0.0.1', SIDECAR_ADMIN_PORT),
    logLevel: isLogLevel(level) ? level : 'info',
    logFormat: format === 'text' ? 'text' : 'json',
    accessLog,
    tracing: readTracingSettings(env, problems),
    drainMs: drainSeconds * 1000,
    capture: capture === 'enabled',
    podIps,
    opaquePorts: opaquePorts.ranges,
    probes: probes.targets,
  };
  return problems.length > 0 ? { problems } : { settings };
}
