// The sidecar's settings, read from its environment (core/contract/environment.ts). All mistakes are reported together.
import { type AccessLogRule, parseAccessLog } from '#core/contract/access-filter.ts';
import { type CaptureMode, type FoundEnvironment, SIDECAR_DEFAULTS, type SidecarVariable } from '#core/contract/environment.ts';
import { isLogLevel, LOG_LEVELS, type LogLevel } from '#core/contract/log-levels.ts';
import { CONTROL_PLANE_GRPC_PORT, SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { type PortRange, parsePortRanges } from '#core/contract/port-ranges.ts';
import { type ProbeTarget, parseProbes } from '#core/contract/probes.ts';
import { readTracingSettings, type TracingSettings } from '../observe/tracing/settings.ts';

export interface SidecarSettings {
  /** WEFT_CONTROL_PLANE. */
  readonly controlPlane: { readonly host: string; readonly port: number };
  /** WEFT_TOKEN_FILE. */
  readonly tokenFile: string;
  /** WEFT_TRUST_BUNDLE_FILE. */
  readonly trustBundleFile: string;
  /** WEFT_TRUST_ROOTS; '': none. */
  readonly trustRoots: string;
  /** WEFT_TRUST_DOMAIN. */
  readonly trustDomain: string;
  /** WEFT_POD_NAMESPACE and WEFT_POD_NAME. */
  readonly namespace: string;
  readonly pod: string;
  /** WEFT_ADMIN_ADDRESS. */
  readonly admin: { readonly host: string; readonly port: number };
  /** WEFT_LOG_LEVEL. */
  readonly logLevel: LogLevel | 'off';
  /** WEFT_LOG_FORMAT. */
  readonly logFormat: 'json' | 'text';
  /** WEFT_ACCESS_LOG; null: no call is logged. */
  readonly accessLog: AccessLogRule | null;
  /** OTEL_…: spans of calls, and where they go. */
  readonly tracing: TracingSettings;
  /** WEFT_DRAIN_SECONDS. */
  readonly drainMs: number;
  /** WEFT_CAPTURE. */
  readonly capture: CaptureMode;
  /** WEFT_POD_IPS: the primary one first; none where there is no pod. */
  readonly podIps: readonly string[];
  /** WEFT_OPAQUE_PORTS. */
  readonly opaquePorts: readonly PortRange[];
  /** WEFT_PROBES: "<container>/<kind>" → what to ask the application. */
  readonly probes: ReadonlyMap<string, ProbeTarget>;
}

/**
 * Reads the settings from an environment.
 * @returns the settings, or one message per mistake
 */
export function readSidecarSettings(env: FoundEnvironment): { settings: SidecarSettings } | { problems: string[] } {
  const problems: string[] = [];
  const required = (name: SidecarVariable, what: string): string => {
    const value = env[name] ?? '';
    if (value === '') problems.push(`${name} is not set: ${what}`);
    return value;
  };
  const hostPort = (name: SidecarVariable, value: string, defaultPort: number): { host: string; port: number } => {
    const match = /^(\[[^\]]+\]|[^:]+)(?::([0-9]+))?$/.exec(value);
    const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
    if (value !== '' && (match === null || port < 1 || port > 65535)) problems.push(`${name} must be host or host:port, not "${value}"`);
    return { host: (match?.[1] ?? '').replace(/^\[|\]$/g, ''), port };
  };
  const level = env.WEFT_LOG_LEVEL ?? SIDECAR_DEFAULTS.WEFT_LOG_LEVEL;
  if (!isLogLevel(level)) problems.push(`WEFT_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}, not "${level}"`);
  const format = env.WEFT_LOG_FORMAT ?? SIDECAR_DEFAULTS.WEFT_LOG_FORMAT;
  if (format !== 'json' && format !== 'text') problems.push(`WEFT_LOG_FORMAT must be json or text, not "${format}"`);
  let accessLog: AccessLogRule | null = null;
  try {
    accessLog = parseAccessLog(env.WEFT_ACCESS_LOG || SIDECAR_DEFAULTS.WEFT_ACCESS_LOG);
  } catch (error) {
    problems.push(`WEFT_ACCESS_LOG: ${(error as RangeError).message}`);
  }
  const drainSeconds = Number(env.WEFT_DRAIN_SECONDS ?? SIDECAR_DEFAULTS.WEFT_DRAIN_SECONDS);
  if (!(drainSeconds >= 0 && drainSeconds <= 3600))
    problems.push(`WEFT_DRAIN_SECONDS must be a number from 0 to 3600, not "${env.WEFT_DRAIN_SECONDS}"`);
  const capture = env.WEFT_CAPTURE || SIDECAR_DEFAULTS.WEFT_CAPTURE;
  if (!isCaptureMode(capture)) problems.push(`WEFT_CAPTURE must be enabled, agent or disabled, not "${capture}"`);
  const podIps = (env.WEFT_POD_IPS ?? SIDECAR_DEFAULTS.WEFT_POD_IPS)
    .split(',')
    .map((ip) => ip.trim())
    .filter((ip) => ip !== '');
  for (const ip of podIps) if (!/^[0-9a-f]*[.:][0-9a-f.:]*$/i.test(ip)) problems.push(`WEFT_POD_IPS: "${ip}" is no IP address`);
  if ((capture === 'enabled' || capture === 'agent') && podIps.length === 0)
    problems.push(`WEFT_POD_IPS is not set: the pod's addresses, which WEFT_CAPTURE=${capture} needs`);
  const opaquePorts = parsePortRanges(env.WEFT_OPAQUE_PORTS ?? SIDECAR_DEFAULTS.WEFT_OPAQUE_PORTS);
  const probes = parseProbes(env.WEFT_PROBES ?? SIDECAR_DEFAULTS.WEFT_PROBES);
  problems.push(...opaquePorts.problems.map((problem) => `WEFT_OPAQUE_PORTS: ${problem}`), ...probes.problems);
  const settings: SidecarSettings = {
    controlPlane: hostPort('WEFT_CONTROL_PLANE', required('WEFT_CONTROL_PLANE', 'host:port of the control plane'), CONTROL_PLANE_GRPC_PORT),
    tokenFile: required('WEFT_TOKEN_FILE', "the file of the pod's ServiceAccount token"),
    trustBundleFile: required('WEFT_TRUST_BUNDLE_FILE', 'the file of PEM roots to trust the control plane by'),
    trustRoots: env.WEFT_TRUST_ROOTS ?? SIDECAR_DEFAULTS.WEFT_TRUST_ROOTS,
    trustDomain: env.WEFT_TRUST_DOMAIN || SIDECAR_DEFAULTS.WEFT_TRUST_DOMAIN,
    namespace: required('WEFT_POD_NAMESPACE', "the pod's namespace"),
    pod: required('WEFT_POD_NAME', "the pod's name"),
    admin: hostPort('WEFT_ADMIN_ADDRESS', env.WEFT_ADMIN_ADDRESS || SIDECAR_DEFAULTS.WEFT_ADMIN_ADDRESS, SIDECAR_ADMIN_PORT),
    logLevel: isLogLevel(level) ? level : 'info',
    logFormat: format === 'text' ? 'text' : 'json',
    accessLog,
    tracing: readTracingSettings(env, problems),
    drainMs: drainSeconds * 1000,
    capture: isCaptureMode(capture) ? capture : 'disabled',
    podIps,
    opaquePorts: opaquePorts.ranges,
    probes: probes.targets,
  };
  return problems.length > 0 ? { problems } : { settings };
}

function isCaptureMode(text: string): text is CaptureMode {
  return text === 'enabled' || text === 'agent' || text === 'disabled';
}
