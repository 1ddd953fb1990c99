// The injector's entry: the environment, signals, the exit code.
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { createLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { connectInCluster } from '#kube/in-cluster.ts';
import { startInjector } from './program.ts';
import { readInjectorSettings } from './settings.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const read = readInjectorSettings(process.env);
if ('problems' in read) {
  process.stderr.write(`${read.problems.join('\n')}\n`);
  process.exit(EXIT_USAGE);
}
const { settings } = read;
const log = createLogger({
  level: settings.logLevel,
  format: settings.logFormat,
  component: 'injector',
  write: (line) => process.stderr.write(`${line}\n`),
  now: Date.now,
});
const fail = (error: Error): void => {
  log.error('the injector failed', { error: error.stack });
  process.exit(EXIT_FAILED);
};

try {
  const client = connectInCluster(process.env);
  const injector = await startInjector(settings, {
    client,
    timers: systemTimers,
    random: Math.random,
    secret: () => randomBytes(16).toString('hex'),
    resolve: async (host) => (await lookup(host)).address,
    log,
    onFatal: fail,
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      log.info('stopping', { signal });
      injector.stop().then(() => process.exit(0), fail);
    });
  }
} catch (error) {
  fail(error as Error);
}
