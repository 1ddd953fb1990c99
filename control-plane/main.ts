// The control plane as a program: of a cluster, or with --dir from a directory of manifests. Environment, signals and exit codes are here.
import { hostname } from 'node:os';
import { SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { createLogger, type Logger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { connectKube } from '#kube/client.ts';
import { ClusterProgram } from './program/cluster.ts';
import { startDirectoryProgram } from './program/directory.ts';
import { readSettings, type Settings, USAGE } from './program/settings.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const DEFAULT_MESH_NAME = 'weft';
/** Stopping takes no longer; then the process ends whatever still holds it. */
const STOP_WITHIN_MS = 5000;

type Stop = () => Promise<void>;

/** Begins; `started` is told how to stop as soon as there is something to stop. */
async function run(settings: Settings, environment: NodeJS.ProcessEnv, log: Logger, started: (stop: Stop) => void): Promise<void> {
  const { dir, secrets, host, port, viewPort, trustDomain, leafLifetimeMs, strictReferenceGrants, defaultTraceSampling } = settings;
  if (dir !== undefined) {
    started(await startDirectoryProgram({ dir, secrets, host: host ?? '127.0.0.1', port, viewPort, trustDomain, log }));
    return;
  }
  const client = await connectKube({ ...(environment.KUBECONFIG ? { kubeconfig: environment.KUBECONFIG } : {}), environment });
  const pod = { namespace: environment.WEFT_POD_NAMESPACE || SYSTEM_NAMESPACE, name: environment.WEFT_POD_NAME || hostname() };
  const meshName = environment.WEFT_MESH_NAME || DEFAULT_MESH_NAME;
  const around = {
    client,
    pod,
    trustDomain,
    meshName,
    leafLifetimeMs,
    strictReferenceGrants,
    defaultTraceSampling,
    port,
    viewPort,
    timers: systemTimers,
    random: Math.random,
    log,
  };
  const begin = async (on: string): Promise<void> => {
    const program = new ClusterProgram({ ...around, host: on });
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

const settings = readSettings(process.argv.slice(2), process.env);
if (typeof settings === 'string') {
  process.stderr.write(`${settings}\n\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
} else {
  const log = createLogger({
    level: settings.logLevel,
    format: settings.logFormat,
    component: 'control-plane',
    write: (line) => process.stderr.write(`${line}\n`),
    now: Date.now,
  });
  let stop: Stop = async () => {};
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      log.info('stopping', { signal });
      setTimeout(() => process.exit(EXIT_FAILED), STOP_WITHIN_MS).unref();
      void stop().then(() => process.exit());
    });
  run(settings, process.env, log, (how) => {
    stop = how;
  }).catch((error: unknown) => {
    // A defect of ours needs its stack; what a person can put right does not.
    const defect = error instanceof TypeError || error instanceof ReferenceError;
    log.error(defect ? 'the control plane failed' : (error as Error).message, defect ? { error: error.stack } : {});
    process.exit(EXIT_FAILED);
  });
}
