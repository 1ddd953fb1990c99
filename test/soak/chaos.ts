// The long form of test/stories/chaos.test.ts: `npm run test:chaos -- [--seconds 180] [--seed N]`. Prints its seed and
// what was done, and ends with 1 when a call failed that nothing was done to, or when memory grew.
import { parseArgs } from 'node:util';
import { Chaos } from '../support/chaos.ts';

/** What a garbage collection leaves differs by some MiB from one moment to another. */
const MOST_GROWTH_MIB = 12;

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '180' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const seconds = Number(values.seconds);
console.log(`chaos for ${seconds} s with seed ${seed}`);
const { bystanders, lost, done, killed, memoryMiB } = await Chaos.run({ seconds, seed });
console.table(done);
const [third, end] = memoryMiB;
console.log(
  `${bystanders} calls of bystanders ended well, ${killed} were under way when their application was killed, ${lost.length} lost`,
);
for (const one of lost.slice(0, 50)) console.log(`  ${one}`);
console.log(`memory: ${third.toFixed(1)} MiB after a third of the time, ${end.toFixed(1)} MiB at the end`);
const failures = [lost.length > 0 || bystanders === 0, end - third > MOST_GROWTH_MIB].filter(Boolean).length;
console.log(`${2 - failures} passed, ${failures} failed`);
process.exit(failures === 0 ? 0 : 1);
