// How the processes of a pod are started: the sidecar's program and environment, the containers' environment.
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENVIRONMENT, type SidecarEnvironment } from '#core/contract/environment.ts';
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import type { PlannedContainer, PlannedPod } from '../plan/pods.ts';
import type { Launch } from './supervised.ts';
import { tracingVariables } from './tracing.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The sidecar's program: the bundle beside this program's own bundle, or the sources when this runs from sources.
 * @param moduleUrl of this program: import.meta.url of a module of it
 */
export function sidecarProgram(moduleUrl: string): string {
  const own = fileURLToPath(moduleUrl);
  if (own.endsWith('.mjs')) return join(dirname(own), 'sidecar.mjs');
  return join(dirname(own), '..', '..', 'sidecar', 'main.ts');
}

export interface SidecarLaunchOptions {
  readonly program: string;
  /** "127.77.0.1:15012". */
  readonly controlPlane: string;
  readonly trustDomain: string;
  readonly trustBundleFile: string;
  readonly tokenFile: string;
  /** URL of a collector of traces; null: what the environment says. */
  readonly otlp: string | null;
  /** Where no annotation says otherwise. */
  readonly logLevel: string;
}

export function sidecarLaunch(pod: PlannedPod, settings: SidecarLaunchOptions, base: Environment): Launch {
  return {
    command: process.execPath,
    args: [...SIDECAR_NODE_FLAGS, settings.program],
    directory: dirname(settings.program),
    pipeStdin: true,
    env: {
      ...tracingVariables(inherited(base), settings.otlp),
      ...({
        ...SIDECAR_PROCESS_ENVIRONMENT,
        WEFT_CONTROL_PLANE: settings.controlPlane,
        WEFT_TOKEN_FILE: settings.tokenFile,
        WEFT_TRUST_BUNDLE_FILE: settings.trustBundleFile,
        WEFT_TRUST_DOMAIN: settings.trustDomain,
        WEFT_POD_NAMESPACE: pod.namespace,
        WEFT_POD_NAME: pod.name,
        WEFT_ADMIN_ADDRESS: `${pod.podAddress}:${SIDECAR_ADMIN_PORT}`,
        WEFT_OPAQUE_PORTS: pod.options.opaquePorts,
        WEFT_LOG_LEVEL: pod.options.logLevel || settings.logLevel,
        WEFT_LOG_FORMAT: 'json',
        WEFT_DRAIN_SECONDS: String(pod.options.drainSeconds),
      } satisfies SidecarEnvironment),
    },
  };
}

export function containerLaunch(container: PlannedContainer, base: Environment): Launch {
  const [command, ...args] = container.argv;
  return { command, args, directory: container.directory, pipeStdin: false, env: containerVariables(container, base) };
}

/**
 * The user's own environment (a database's address, a home directory) with the container's on top. `node` is the Node
 * that runs this program. Calls to loopback addresses must not go to an HTTP proxy that the user has set; gRPC
 * libraries read these names too.
 */
export function containerVariables(container: PlannedContainer, base: Environment): Record<string, string> {
  const noProxy = [base.no_proxy ?? base.NO_PROXY, 'localhost', '127.0.0.0/8'].filter(Boolean).join(',');
  return {
    ...inherited(base),
    no_proxy: noProxy,
    NO_PROXY: noProxy,
    ...container.env,
    PATH: [dirname(process.execPath), container.env.PATH ?? base.PATH ?? '/usr/local/bin:/usr/bin:/bin'].join(delimiter),
  };
}

// Ours and npm's variables are about this program, not about the user's services.
function inherited(base: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(base).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !/^(WEFT_|npm_|INIT_CWD$|NODE_OPTIONS$)/.test(entry[0]),
    ),
  );
}

/** Is the program there? Bundles are made by `npm run build`. */
export function missingProgram(program: string): string | null {
  return existsSync(program) ? null : `${program} is missing: run \`npm run build\``;
}
