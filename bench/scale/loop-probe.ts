// Loaded before the control plane's program by the scale test: measures in it how long its loop was blocked, and what
// it holds after a collection. Answers to messages of its parent.
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Probed {
  /** The longest time that a timer of 1 ms was late, in ms. */
  readonly longestBlockMs: number;
  readonly rssMiB: number;
  readonly heapUsedMiB: number;
}

const MIB = 2 ** 20;
const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();

process.on('message', (what) => {
  if (what === 'reset') delays.reset();
  if (what === 'collect') {
    const { gc } = globalThis;
    gc?.();
    gc?.();
  }
  const { rss, heapUsed } = process.memoryUsage();
  process.send!({ longestBlockMs: delays.max / 1e6, rssMiB: rss / MIB, heapUsedMiB: heapUsed / MIB } satisfies Probed);
});
// It alone must not keep the program from ending.
process.channel?.unref();
