// The control plane's settings: arguments and environment, with defaults, and what is wrong with them in words.
import { parseArgs } from 'node:util';
import { isTrustDomain } from '#core/contract/identity.ts';
import { isLogLevel, LOG_LEVELS, type LogLevel } from '#core/contract/log-levels.ts';
import { CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_VIEW_PORT, DEFAULT_TRUST_DOMAIN, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { DEFAULT_TRACE_SAMPLING, parseTraceSampling } from '#core/contract/trace-sampling.ts';
import type { LogFormat } from '#core/program/log.ts';
import { didYouMean } from '#core/text/nearest.ts';

export const USAGE = `usage: control-plane [options]

  Without --dir: the control plane of the cluster that it runs in, or that $KUBECONFIG names.

  --dir DIR            manifests (*.yaml, *.yml, *.json) instead, followed as they change; for trying Weft without a cluster
  --secrets DIR        with --dir: writes roots.pem and a token <namespace>_<pod>.token for each Pod there, for sidecars started by hand
  --host ADDRESS       where to listen, default $WEFT_HOST, or :: (with --dir 127.0.0.1)
  --port PORT          gRPC, default ${CONTROL_PLANE_GRPC_PORT}
  --view-port PORT     /readyz /livez /metrics; on loopback /status /debug/resources; default ${CONTROL_PLANE_VIEW_PORT}
  --trust-domain NAME  default $WEFT_TRUST_DOMAIN, or ${DEFAULT_TRUST_DOMAIN}

  environment: WEFT_LOG_LEVEL (${LOG_LEVELS.join(', ')}), WEFT_LOG_FORMAT (json, text); in a cluster also WEFT_POD_NAME, WEFT_POD_NAMESPACE,
  WEFT_MESH_NAME (of the XMesh object, default weft), WEFT_LEAF_SECONDS (life of workloads' certificates, 60 to 604800, default 43200),
  WEFT_CLUSTER_TRUST_BUNDLE (name of a ClusterTrustBundle whose roots are trusted besides; default none),
  WEFT_STRICT_REFERENCE_GRANTS (true: a backend in another namespace needs a ReferenceGrant; default false),
  WEFT_TRACING_SAMPLING (share of traces where an XTelemetryPolicy gives none, default ${DEFAULT_TRACE_SAMPLING})
`;

const DEFAULT_MESH_NAME = 'weft';
const LEAF_SECONDS = { least: 60, most: 7 * 24 * 3600 };
const LOG_FORMATS: readonly string[] = ['json', 'text'];

export interface ControlPlaneSettings {
  /** undefined: a cluster's control plane. */
  readonly dir: string | undefined;
  readonly secrets: string | undefined;
  /** undefined: whatever suits. */
  readonly host: string | undefined;
  readonly port: number;
  readonly viewPort: number;
  readonly trustDomain: string;
  /** KUBECONFIG; undefined: the cluster that this runs in. */
  readonly kubeconfig: string | undefined;
  /** Of the pod that this runs in. */
  readonly podNamespace: string;
  /** undefined: the name of the machine. */
  readonly podName: string | undefined;
  /** Of the XMesh object. */
  readonly meshName: string;
  readonly leafLifetimeMs: number | undefined;
  /** '': none. */
  readonly clusterTrustBundle: string;
  /** Backends in other namespaces count only with a ReferenceGrant. */
  readonly strictReferenceGrants: boolean;
  /** 0 to 1: where an XTelemetryPolicy names a collector and no share. */
  readonly defaultTraceSampling: number;
  readonly logLevel: LogLevel | 'off';
  readonly logFormat: LogFormat;
}

const text = { type: 'string' } as const;
const OPTIONS = { dir: text, secrets: text, host: text, port: text, 'view-port': text, 'trust-domain': text };

/** @returns the settings, or one message per mistake */
export function readControlPlaneSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): { settings: ControlPlaneSettings } | { problems: string[] } {
  const problems: string[] = [];
  const fault = (problem: string): void => void problems.push(problem);
  let values: Partial<Record<keyof typeof OPTIONS, string>> = {};
  try {
    ({ values } = parseArgs({ args: [...args], options: OPTIONS, strict: true }));
  } catch (error) {
    fault((error as Error).message);
  }
  const port = portOf(values.port, CONTROL_PLANE_GRPC_PORT);
  const viewPort = portOf(values['view-port'], CONTROL_PLANE_VIEW_PORT);
  if (port === null || viewPort === null) fault('a port is a number from 0 to 65535');
  const { dir, secrets } = values;
  if (secrets !== undefined && dir === undefined) fault('--secrets needs --dir: in a cluster tokens come from the API server');
  const trustDomain = values['trust-domain'] ?? (environment.WEFT_TRUST_DOMAIN || DEFAULT_TRUST_DOMAIN);
  if (!isTrustDomain(trustDomain)) fault(`not a trust domain (lower-case letters, digits, ".", "-", "_"): ${JSON.stringify(trustDomain)}`);
  const seconds = environment.WEFT_LEAF_SECONDS || undefined;
  const { least, most } = LEAF_SECONDS;
  if (seconds !== undefined && !(/^[0-9]{1,7}$/.test(seconds) && Number(seconds) >= least && Number(seconds) <= most))
    fault(`WEFT_LEAF_SECONDS is a number from ${least} to ${most}, not ${JSON.stringify(seconds)}`);
  const strict = environment.WEFT_STRICT_REFERENCE_GRANTS || 'false';
  if (strict !== 'true' && strict !== 'false') fault(`WEFT_STRICT_REFERENCE_GRANTS is true or false, not ${JSON.stringify(strict)}`);
  const sampling = environment.WEFT_TRACING_SAMPLING || String(DEFAULT_TRACE_SAMPLING);
  let defaultTraceSampling = DEFAULT_TRACE_SAMPLING;
  try {
    defaultTraceSampling = parseTraceSampling(sampling);
  } catch (error) {
    fault(`WEFT_TRACING_SAMPLING: ${JSON.stringify(sampling)}: ${(error as Error).message}`);
  }
  const logLevel = environment.WEFT_LOG_LEVEL || 'info';
  if (!isLogLevel(logLevel)) fault(`WEFT_LOG_LEVEL has no level ${JSON.stringify(logLevel)}${didYouMean(logLevel, LOG_LEVELS)}`);
  const logFormat = environment.WEFT_LOG_FORMAT || 'json';
  if (!LOG_FORMATS.includes(logFormat)) fault(`WEFT_LOG_FORMAT is json or text, not ${JSON.stringify(logFormat)}`);
  if (problems.length > 0 || port === null || viewPort === null) return { problems };
  return {
    settings: {
      dir,
      secrets,
      host: values.host ?? (environment.WEFT_HOST || undefined),
      port,
      viewPort,
      trustDomain,
      kubeconfig: environment.KUBECONFIG || undefined,
      podNamespace: environment.WEFT_POD_NAMESPACE || SYSTEM_NAMESPACE,
      podName: environment.WEFT_POD_NAME || undefined,
      meshName: environment.WEFT_MESH_NAME || DEFAULT_MESH_NAME,
      leafLifetimeMs: seconds === undefined ? undefined : Number(seconds) * 1000,
      clusterTrustBundle: environment.WEFT_CLUSTER_TRUST_BUNDLE ?? '',
      strictReferenceGrants: strict === 'true',
      defaultTraceSampling,
      logLevel: logLevel as LogLevel | 'off',
      logFormat: logFormat as LogFormat,
    },
  };
}

function portOf(word: string | undefined, otherwise: number): number | null {
  if (word === undefined) return otherwise;
  return /^[0-9]{1,5}$/.test(word) && Number(word) <= 65535 ? Number(word) : null;
}
