// The injector's settings: every environment name, its default and its meaning in one place. All mistakes are reported
// together.
import { X509Certificate } from 'node:crypto';
import { INJECTION_ANNOTATIONS, type InjectionAnnotation, LIVE_ANNOTATIONS } from '#core/contract/annotations.ts';
import { SIDECAR_DEFAULTS } from '#core/contract/environment.ts';
import { isLogLevel, LOG_LEVELS, type LogLevel } from '#core/contract/log-levels.ts';
import {
  CONTROL_PLANE_GRPC_PORT,
  CONTROL_PLANE_NAME,
  CONTROL_PLANE_VIEW_PORT,
  DEFAULT_TRUST_DOMAIN,
  SYSTEM_NAMESPACE,
  WEBHOOK_PORT,
} from '#core/contract/names.ts';
import { DEFAULT_OPAQUE_PORTS } from '#core/contract/port-ranges.ts';
import { DEFAULT_TRACE_SAMPLING, parseTraceSampling } from '#core/contract/trace-sampling.ts';
import { VERSION } from '#core/contract/version.ts';
import type { LogFormat } from '#core/program/log.ts';
import { didYouMean } from '#core/text/nearest.ts';
import { exceeds } from './annotations.ts';
import type { InjectionSettings } from './containers.ts';
import type { ClientAuthentication } from './server.ts';

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];

export interface InjectorSettings {
  /** WEFT_POD_NAME, shown in log lines; default weft-injector. */
  readonly podName: string;
  /** WEFT_POD_NAMESPACE: where the Secret of the serving certificate is; default weft-system. */
  readonly namespace: string;
  /** WEFT_LOG_LEVEL, WEFT_LOG_FORMAT: of the injector itself. */
  readonly logLevel: LogLevel | 'off';
  readonly logFormat: LogFormat;
  /** WEFT_HOST: the address to listen on; default: all there are, which also works where IPv6 is off. */
  readonly host: string;
  readonly webhookPort: number;
  readonly healthPort: number;
  /**
   * WEFT_CLIENT_AUTHORITIES (PEM), WEFT_CLIENT_NAMES ("a,b"): what the API server's client certificate must be; absent:
   * it shows none.
   */
  readonly clients?: ClientAuthentication;
  /** What pods get; see `readInjection`. */
  readonly injection: Omit<InjectionSettings, 'trustRoots'>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings from an environment.
 * @returns the settings, or one message per mistake
 */
export function readInjectorSettings(env: Environment): { settings: InjectorSettings } | { problems: string[] } {
  const injection = readInjection(env);
  const problems = 'problems' in injection ? [...injection.problems] : [];
  const level = env.WEFT_LOG_LEVEL || 'info';
  if (!isLogLevel(level)) problems.push(`WEFT_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}, not "${level}"`);
  const clients = readClients(env);
  if ('problem' in clients) problems.push(clients.problem);
  const format = env.WEFT_LOG_FORMAT || 'json';
  if (format !== 'json' && format !== 'text') problems.push(`WEFT_LOG_FORMAT must be json or text, not "${format}"`);
  if (problems.length > 0 || 'problems' in injection || 'problem' in clients) return { problems };
  return {
    settings: {
      podName: env.WEFT_POD_NAME || 'weft-injector',
      namespace: env.WEFT_POD_NAMESPACE || SYSTEM_NAMESPACE,
      logLevel: level as LogLevel,
      logFormat: format as LogFormat,
      host: env.WEFT_HOST ?? '',
      webhookPort: WEBHOOK_PORT,
      healthPort: CONTROL_PLANE_VIEW_PORT,
      ...clients,
      injection: injection.injection,
    },
  };
}

function readClients(env: Environment): { clients?: ClientAuthentication } | { problem: string } {
  const authorities = env.WEFT_CLIENT_AUTHORITIES ?? '';
  const names = (env.WEFT_CLIENT_NAMES ?? '').split(',').flatMap((name) => name.trim() || []);
  if (authorities.trim() === '') {
    return names.length === 0
      ? {}
      : { problem: 'WEFT_CLIENT_NAMES needs WEFT_CLIENT_AUTHORITIES: names count only in certificates that verify' };
  }
  const certificates = authorities.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const pem of certificates) new X509Certificate(pem);
    if (certificates.length === 0) throw new Error('there is no certificate in it');
  } catch (error) {
    return { problem: `WEFT_CLIENT_AUTHORITIES must be certificates in PEM: ${(error as Error).message}` };
  }
  return { clients: { authorities, names } };
}

/**
 * Reads what pods get: WEFT_IMAGE (needed), WEFT_IMAGE_PULL_POLICY, WEFT_TRUST_DOMAIN, WEFT_SIDECAR_LOG_LEVEL,
 * WEFT_DRAIN_SECONDS, WEFT_OPAQUE_PORTS, WEFT_SIDECAR_{CPU,MEMORY}_{REQUEST,LIMIT} (empty: none), WEFT_TRACING_ENDPOINT
 * (empty: no tracing), WEFT_TRACING_SAMPLING, WEFT_ACCESS_LOG, WEFT_ROOT_ANNOTATIONS (true: weft.dev/image is taken),
 * WEFT_NODE_AGENT (true: the node agent loads the capture rules).
 * @returns the settings, or one message per mistake
 */
export function readInjection(env: Environment): { injection: Omit<InjectionSettings, 'trustRoots'> } | { problems: string[] } {
  const problems: string[] = [];
  const read = <T>(name: string, byDefault: string, parse: (text: string) => T): T => {
    const text = env[name] ?? byDefault;
    try {
      return parse(text);
    } catch (error) {
      problems.push(`${name}: ${JSON.stringify(text)}: ${(error as Error).message}`);
      // It is not used: with a problem there are no settings.
      return undefined as T;
    }
  };
  const option = <T extends string | number>(name: string, field: InjectionAnnotation, byDefault: string): T =>
    read(name, byDefault, (text) => INJECTION_ANNOTATIONS[field].read(text) as T);
  if (!env.WEFT_IMAGE) problems.push('WEFT_IMAGE is not set: the image of the sidecar');
  const imagePullPolicy = env.WEFT_IMAGE_PULL_POLICY || 'IfNotPresent';
  if (!PULL_POLICIES.includes(imagePullPolicy)) {
    const near = didYouMean(imagePullPolicy, PULL_POLICIES);
    problems.push(`WEFT_IMAGE_PULL_POLICY must be one of ${PULL_POLICIES.join(', ')}, not "${imagePullPolicy}"${near}`);
  }
  const nodeAgent = read('WEFT_NODE_AGENT', 'false', readBoolean);
  const injection = {
    image: env.WEFT_IMAGE ? option<string>('WEFT_IMAGE', 'image', '') : '',
    imagePullPolicy,
    trustDomain: env.WEFT_TRUST_DOMAIN || DEFAULT_TRUST_DOMAIN,
    controlPlane: `${CONTROL_PLANE_NAME}.${SYSTEM_NAMESPACE}.svc:${CONTROL_PLANE_GRPC_PORT}`,
    version: VERSION,
    logLevel: option<string>('WEFT_SIDECAR_LOG_LEVEL', 'logLevel', SIDECAR_DEFAULTS.WEFT_LOG_LEVEL),
    drainSeconds: option<number>('WEFT_DRAIN_SECONDS', 'drainSeconds', SIDECAR_DEFAULTS.WEFT_DRAIN_SECONDS),
    opaquePorts: option<string>('WEFT_OPAQUE_PORTS', 'opaquePorts', DEFAULT_OPAQUE_PORTS),
    tracingEndpoint: read('WEFT_TRACING_ENDPOINT', '', collectorUrl),
    tracingSampling: read('WEFT_TRACING_SAMPLING', String(DEFAULT_TRACE_SAMPLING), parseTraceSampling),
    accessLog: read('WEFT_ACCESS_LOG', SIDECAR_DEFAULTS.WEFT_ACCESS_LOG, LIVE_ANNOTATIONS.accessLog.read),
    rootAnnotations: read('WEFT_ROOT_ANNOTATIONS', 'false', readBoolean),
    skipInboundPorts: '',
    skipOutboundPorts: '',
    // Absent without an agent, so that the settings' hash is what it was before there was one.
    ...(nodeAgent && { nodeAgent: true as const }),
    resources: {
      cpuRequest: option<string>('WEFT_SIDECAR_CPU_REQUEST', 'cpuRequest', ''),
      cpuLimit: option<string>('WEFT_SIDECAR_CPU_LIMIT', 'cpuLimit', ''),
      memoryRequest: option<string>('WEFT_SIDECAR_MEMORY_REQUEST', 'memoryRequest', ''),
      memoryLimit: option<string>('WEFT_SIDECAR_MEMORY_LIMIT', 'memoryLimit', ''),
    },
  };
  if (problems.length > 0) return { problems };
  for (const what of ['cpu', 'memory'] as const) {
    const { [`${what}Request` as const]: request, [`${what}Limit` as const]: limit } = injection.resources;
    const name = `WEFT_SIDECAR_${what.toUpperCase()}`;
    if (exceeds(request, limit)) problems.push(`${name}_REQUEST must not exceed ${name}_LIMIT: ${request} is more than ${limit}`);
  }
  return problems.length > 0 ? { problems } : { injection };
}

function readBoolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new RangeError('it must be true or false');
  return text === 'true';
}

/**
 * An http or https URL, or ''. What stands behind "?" or "#" would end up in the middle of the path of requests, and
 * /v1/traces twice.
 */
function collectorUrl(text: string): string {
  if (text === '') return text;
  const [whole, base] = /^(.*)\/v1\/traces\/*$/.exec(text) ?? [];
  if (whole !== undefined) throw new RangeError(`it must be the collector's URL without /v1/traces, did you mean ${base}?`);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '' && url.search === '' && url.hash === '' && !/\s/.test(text))
    return text;
  const guess = `http://${text.replace(/^[a-z]*:?\/\/+/i, '').replace(/\s|[?#].*$/g, '')}`;
  const hint = URL.canParse(guess) ? `did you mean ${guess}?` : 'such as http://jaeger.weft-observability:4318';
  throw new RangeError(`it must be an http:// or https:// URL, ${hint}`);
}
