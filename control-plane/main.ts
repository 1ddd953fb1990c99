// The control plane as a program: of a cluster, or with --dir from a directory of manifests. Environment, signals and
// exit codes are here.
import { hostname } from 'node:os';
import { createLogger, type Logger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { connectKube } from '#kube/client.ts';
import { ClusterProgram } from './program/cluster.ts';
import { startDirectoryProgram } from './program/directory.ts';
import { type ControlPlaneSettings, readControlPlaneSettings, USAGE } from './program/settings.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** After SIGTERM: until then nodes may still send connections to this replica, in ms. */
const LINGER_MS = 3000;
/**
 * Stopping takes no longer, in ms; then the process ends, whatever still holds it. It is well below a pod's grace
 * period (30 s).
 */
const STOP_WITHIN_MS = 8000;

/** @param lingerMs on a cluster: how long it goes on serving */
type Stop = (lingerMs: number) => Promise<void>;

/** Begins; `started` is called with what stops it as soon as there is something to stop. */
async function run(settings: ControlPlaneSettings, log: Logger, started: (stop: Stop) => void): Promise<void> {
  const { dir, secrets, host, kubeconfig, port, viewPort, trustDomain, meshName, leafLifetimeMs } = settings;
  if (dir !== undefined) {
    started(await startDirectoryProgram({ dir, secrets, host: host ?? '127.0.0.1', port, viewPort, trustDomain, log }));
    return;
  }
  const around = {
    client: await connectKube({ ...(kubeconfig === undefined ? {} : { kubeconfig }), environment: process.env }),
    pod: { namespace: settings.podNamespace, name: settings.podName ?? hostname() },
    trustDomain,
    meshName,
    leafLifetimeMs,
    clusterTrustBundle: settings.clusterTrustBundle,
    strictReferenceGrants: settings.strictReferenceGrants,
    defaultTraceSampling: settings.defaultTraceSampling,
    port,
    viewPort,
    timers: systemTimers,
    random: Math.random,
    log,
  };
  const begin = async (on: string): Promise<void> => {
    const program = new ClusterProgram({ ...around, host: on });
    started((lingerMs) => program.stop(lingerMs));
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

/** Runs until a signal comes or the program fails. */
function main(settings: ControlPlaneSettings): void {
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
      void stop(signal === 'SIGTERM' ? LINGER_MS : 0).then(() => process.exit());
    });
  run(settings, log, (how) => {
    stop = how;
  }).catch((error: unknown) => {
    // A defect of ours needs its stack; what a person can put right does not.
    const defect = error instanceof TypeError || error instanceof ReferenceError;
    log.error(defect ? 'the control plane failed' : (error as Error).message, defect ? { error: error.stack } : {});
    process.exit(EXIT_FAILED);
  });
}

const read = readControlPlaneSettings(process.argv.slice(2), process.env);
if ('problems' in read) {
  process.stderr.write(`${read.problems.join('\n')}\n\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
} else main(read.settings);
