// The node agent's entry: the environment, signals, the exit code.
import { createLogger } from '#core/program/log.ts';
import { runNft } from '#core/program/nft.ts';
import { systemTimers } from '#core/program/timers.ts';
import { connectInCluster } from '#kube/in-cluster.ts';
import { nodeProcesses } from './process/proc.ts';
import { startNodeAgent } from './program.ts';
import { readNodeAgentSettings } from './settings.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const read = readNodeAgentSettings(process.env);
if ('problems' in read) {
  process.stderr.write(`${read.problems.join('\n')}\n`);
  process.exit(EXIT_USAGE);
}
const { settings } = read;
const log = createLogger({
  level: settings.logLevel,
  format: settings.logFormat,
  component: 'node-agent',
  write: (line) => process.stderr.write(`${line}\n`),
  now: Date.now,
});
const fail = (error: Error): void => {
  log.error('the node agent failed', { error: error.stack });
  process.exit(EXIT_FAILED);
};

try {
  const agent = await startNodeAgent(settings, {
    client: connectInCluster(process.env),
    processes: nodeProcesses(),
    pid: process.pid,
    parent: process.ppid,
    load: (rules, network) => runNft(rules, process.env, network),
    timers: systemTimers,
    monotonicMs: () => performance.now(),
    random: Math.random,
    log,
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      log.info('stopping', { signal });
      agent.stop().then(() => process.exit(0), fail);
    });
  }
} catch (error) {
  fail(error as Error);
}
