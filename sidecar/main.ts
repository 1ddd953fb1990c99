// The sidecar program: reads its environment, runs until a signal stops it, and leaves nothing behind.

import { VERSION } from '#core/contract/version.ts';
import { createLogger } from '#core/program/log.ts';
import { createLineWriter } from './observe/access-log/line-writer.ts';
import { type SidecarProgram, startSidecar } from './program/program.ts';
import { readSidecarSettings } from './program/settings.ts';

const read = readSidecarSettings(process.env);
if ('problems' in read) {
  for (const problem of read.problems) process.stderr.write(`weft sidecar: ${problem}\n`);
  process.exit(2);
}
const { settings } = read;
// Log and access log share a descriptor: one writer, so that no line breaks into another and a reader that is stuck
// does not stop the sidecar.
const lines = createLineWriter(process.stdout);
process.on('exit', () => lines.flushSync());
const log = createLogger({
  level: settings.logLevel,
  format: settings.logFormat,
  component: 'sidecar',
  write: (line) => lines.log(line),
  now: Date.now,
});

let program: SidecarProgram | null = null;
let stopping = false;
async function stop(signal: string): Promise<void> {
  if (stopping || program === null) process.exit(1); // asked twice: at once
  stopping = true;
  log.info('stopping', { signal });
  await program.stop();
  process.exit(0);
}
process.on('SIGTERM', () => void stop('SIGTERM'));
process.on('SIGINT', () => void stop('SIGINT'));

/**
 * With --expose-gc: V8's last resort gives back what starting left behind, which a sidecar that then idles would keep
 * (19.5 → 17 MiB).
 */
const collect = globalThis.gc as ((options: object) => void) | undefined;
const startedUp = (): void => collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });

try {
  program = await startSidecar(settings, VERSION, log, {
    now: () => performance.now(),
    wallClock: Date.now,
    random: Math.random,
    startedUp,
    accessLines: lines,
  });
} catch (error) {
  log.error('cannot start', { error: (error as Error).message });
  process.exit(1);
}
