// The sidecar program: reads its environment, runs until it is told to stop, and leaves nothing behind.
import { createLogger } from '#core/log.ts';
import { readSettings } from './settings.ts';
import { Sidecar } from './sidecar.ts';

const read = readSettings(process.env);
if ('problems' in read) {
  for (const problem of read.problems) process.stderr.write(`weft sidecar: ${problem}\n`);
  process.exit(2);
}
const { settings } = read;
const log = createLogger({
  level: settings.logLevel,
  format: settings.logFormat,
  component: 'sidecar',
  write: (line) => process.stdout.write(`${line}\n`),
  now: Date.now,
});
const sidecar = new Sidecar(settings, log, { now: () => performance.now(), wallClock: Date.now, random: Math.random });

let stopping = false;
async function stop(why: string): Promise<void> {
  if (stopping) process.exit(1); // asked twice: at once
  stopping = true;
  log.info('stopping', { reason: why });
  await sidecar.stop();
  process.exit(0);
}
process.on('SIGTERM', () => void stop('SIGTERM'));
process.on('SIGINT', () => void stop('SIGINT'));

try {
  await sidecar.start();
} catch (error) {
  log.error('cannot start', { error: (error as Error).message });
  process.exit(1);
}
