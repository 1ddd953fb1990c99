// The control plane as a program: of a cluster, or with --dir from a directory of manifests. Environment, signals and exit codes are here.
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { createLogger, isLogLevel, LOG_LEVELS, type Logger } from '#core/log.ts';
import { CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_VIEW_PORT, DEFAULT_TRUST_DOMAIN, SYSTEM_NAMESPACE } from '#core/names.ts';
import { systemTimers } from '#core/timers.ts';
import { connectKube } from '#kube/client.ts';
import { startDirectoryProgram } from './files/program.ts';
import { ClusterProgram } from './kube/program.ts';

const USAGE = `usage: control-plane [options]

  Without --dir: the control plane of the cluster that it runs in, or that $KUBECONFIG names.

  --dir DIR            manifests (*.yaml, *.yml, *.json) instead, followed as they change; for trying Weft without a cluster
  --secrets DIR        with --dir: writes roots.pem and a token <namespace>_<pod>.token for each Pod there, for sidecars started by hand
  --host ADDRESS       where to listen, default $WEFT_HOST, or :: (with --dir 127.0.0.1)
  --port PORT          gRPC, default ${CONTROL_PLANE_GRPC_PORT}
  --view-port PORT     /readyz /livez /metrics; on loopback /status /debug/resources; default ${CONTROL_PLANE_VIEW_PORT}
  --trust-domain NAME  default $WEFT_TRUST_DOMAIN, or ${DEFAULT_TRUST_DOMAIN}

  environment: WEFT_LOG_LEVEL (${LOG_LEVELS.join(', ')}), WEFT_LOG_FORMAT (json, text); in a cluster also WEFT_POD_NAME, WEFT_POD_NAMESPACE,
  WEFT_MESH_NAME (of the XMesh object, default weft), WEFT_LEAF_SECONDS (life of workloads' certificates, 60 to 604800, default 43200)
`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const DEFAULT_MESH_NAME = 'weft';
const LEAF_SECONDS = { least: 60, most: 7 * 24 * 3600 };
/** Stopping takes no longer; then the process ends whatever still holds it. */
const STOP_WITHIN_MS = 5000;

interface Options {
  readonly dir: string | undefined;
  readonly secrets: string | undefined;
  readonly host: string | undefined;
  readonly port: number;
  readonly viewPort: number;
  readonly trustDomain: string;
  readonly leafLifetimeMs: number | undefined;
}

function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv): Options | string {
  const text = { type: 'string' } as const;
  const options = { dir: text, secrets: text, host: text, port: text, 'view-port': text, 'trust-domain': text };
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true });
    const port = portOf(values.port, CONTROL_PLANE_GRPC_PORT);
    const viewPort = portOf(values['view-port'], CONTROL_PLANE_VIEW_PORT);
    if (port === null || viewPort === null) return 'a port is a number from 0 to 65535';
    const { dir, secrets } = values;
    if (secrets !== undefined && dir === undefined) return '--secrets needs --dir: in a cluster tokens come from the API server';
    const host = values.host ?? (environment.WEFT_HOST || undefined);
    const trustDomain = values['trust-domain'] ?? (environment.WEFT_TRUST_DOMAIN || DEFAULT_TRUST_DOMAIN);
    const seconds = environment.WEFT_LEAF_SECONDS || undefined;
    const { least, most } = LEAF_SECONDS;
    if (seconds !== undefined && !(/^[0-9]{1,7}$/.test(seconds) && Number(seconds) >= least && Number(seconds) <= most))
      return `WEFT_LEAF_SECONDS is a number from ${least} to ${most}, not ${JSON.stringify(seconds)}`;
    return { dir, secrets, host, port, viewPort, trustDomain, leafLifetimeMs: seconds === undefined ? undefined : Number(seconds) * 1000 };
  } catch (error) {
    return (error as Error).message;
  }
}

function portOf(word: string | undefined, otherwise: number): number | null {
  if (word === undefined) return otherwise;
  return /^[0-9]{1,5}$/.test(word) && Number(word) <= 65535 ? Number(word) : null;
}

type Stop = () => Promise<void>;

/** Begins; `started` is told how to stop as soon as there is something to stop. */
async function run(options: Options, environment: NodeJS.ProcessEnv, log: Logger, started: (stop: Stop) => void): Promise<void> {
  const { dir, secrets, host, port, viewPort, trustDomain, leafLifetimeMs } = options;
  if (dir !== undefined) {
    started(await startDirectoryProgram({ dir, secrets, host: host ?? '127.0.0.1', port, viewPort, trustDomain, log }));
    return;
  }
  const client = await connectKube({ ...(environment.KUBECONFIG ? { kubeconfig: environment.KUBECONFIG } : {}), environment });
  const pod = { namespace: environment.WEFT_POD_NAMESPACE || SYSTEM_NAMESPACE, name: environment.WEFT_POD_NAME || hostname() };
  const meshName = environment.WEFT_MESH_NAME || DEFAULT_MESH_NAME;
  const settings = { client, pod, trustDomain, meshName, leafLifetimeMs, port, viewPort, timers: systemTimers, random: Math.random, log };
  const begin = async (on: string): Promise<void> => {
    const program = new ClusterProgram({ ...settings, host: on });
    started(() => program.stop());
    await program.start();
  };
  try {
    await begin(host ?? '::');
  } catch (error) {
    // A node whose kernel has no IPv6.
    if (host !== undefined || (error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
    await begin('0.0.0.0');
  }
}

const level = process.env.WEFT_LOG_LEVEL ?? 'info';
const log = createLogger({
  level: isLogLevel(level) ? level : 'info',
  format: process.env.WEFT_LOG_FORMAT === 'text' ? 'text' : 'json',
  component: 'control-plane',
  write: (line) => process.stderr.write(`${line}\n`),
  now: Date.now,
});
const options = readOptions(process.argv.slice(2), process.env);
if (typeof options === 'string') {
  process.stderr.write(`${options}\n\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
} else {
  let stop: Stop = async () => {};
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      log.info('stopping', { signal });
      setTimeout(() => process.exit(EXIT_FAILED), STOP_WITHIN_MS).unref();
      void stop().then(() => process.exit());
    });
  run(options, process.env, log, (how) => {
    stop = how;
  }).catch((error: unknown) => {
    // A defect of ours needs its stack; what a person can put right does not.
    const defect = error instanceof TypeError || error instanceof ReferenceError;
    log.error(defect ? 'the control plane failed' : (error as Error).message, defect ? { error: error.stack } : {});
    process.exit(EXIT_FAILED);
  });
}
