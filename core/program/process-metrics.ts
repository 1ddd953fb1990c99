// What every program reports of its own process, under the names that Prometheus' client libraries use.
import type { Family } from './exposition.ts';
import { counter, gauge } from './exposition.ts';

// An import would read every property of the module, among them getters that load streams: 0.7 MB of each process (Node
// 24).
const fs = process.getBuiltinModule('node:fs');

/** The program as weft_build_info names it. */
export interface Program {
  readonly program: 'sidecar' | 'control-plane' | 'injector' | 'node-agent';
  readonly version: string;
}

/** The kernel's list of open files; since Linux 6.2 its size is their number. */
const OPEN_FILES = '/proc/self/fd';

/** The values at this moment; reading them costs about 0.1 ms. */
export function processMetrics(program: Program): Family[] {
  const { user, system } = process.cpuUsage();
  const memory = readMemory();
  const openFiles = countOpenFiles();
  return [
    { name: 'weft_build_info', type: 'info', help: 'Which program this is.', samples: [{ labels: { ...program }, value: 1 }] },
    counter('process_cpu_seconds_total', 'CPU time of the process, user and system.', (user + system) / 1e6),
    ...(memory === undefined ? [] : [gauge('process_resident_memory_bytes', 'Resident memory of the process.', memory.rss)]),
    gauge('process_start_time_seconds', 'When the process began, Unix time.', Math.round(performance.timeOrigin) / 1000),
    ...(openFiles === undefined ? [] : [gauge('process_open_fds', 'Open files and sockets.', openFiles)]),
    ...(memory === undefined
      ? []
      : [gauge('nodejs_heap_used_bytes', 'Live JavaScript objects, and dead ones that are not collected yet.', memory.heapUsed)]),
    counter(
      'nodejs_eventloop_active_seconds_total',
      'Time that the event loop did not wait: its rate is the share of the one core that JavaScript can use.',
      performance.eventLoopUtilization().active / 1000,
    ),
  ];
}

/**
 * undefined where no more files can be opened, such as /proc's: a scrape must not end a program that is short of them.
 */
function readMemory(): NodeJS.MemoryUsage | undefined {
  try {
    return process.memoryUsage();
  } catch {
    return undefined;
  }
}

/** undefined where /proc does not say. */
function countOpenFiles(): number | undefined {
  try {
    return fs.statSync(OPEN_FILES).size || fs.readdirSync(OPEN_FILES).length - 1;
  } catch {
    return undefined;
  }
}
