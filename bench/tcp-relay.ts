// Throughput of connections that pass as TCP: iperf3 writes 64 KiB at a time through the proxies, which take turns.
// What counts is octets per second of CPU: the load has a core of its own, and may be slower than a proxy.
import { execFile } from 'node:child_process';
import { median } from './measure.ts';
import type { Peer, Running, Scenario } from './peers/peer.ts';
import { findProgram, freePort, type Memory, Program } from './processes.ts';
import type { Outcome } from './results.ts';
import type { Session } from './session.ts';
import { SCENARIO_TITLES, type Table } from './table.ts';
import { LOAD_CORE } from './work.ts';

const SCENARIOS: readonly Scenario[] = ['plain', 'pair'];
const DIRECTIONS = ['to the server', 'to the client'] as const;
const CONNECTIONS = 4;
const WRITE = '64K';
const WARM_SECONDS = 1;
/** iperf3 that takes so many ms longer than its load is stuck. */
const STUCK_MS = 30_000;
const GIB = 2 ** 30;

interface Figure {
  readonly octetsPerSecond: number;
  readonly cpuSecondsPerGiB: number;
  /** Octets that a proxy which had all of its core would pass in a second. */
  readonly octetsPerCpuSecond: number;
}

interface Row extends Figure {
  readonly peer: string;
  readonly scenario: Scenario;
  readonly direction: (typeof DIRECTIONS)[number];
  /** Of all programs after the load, MiB. */
  readonly memory: Memory;
}

/** @param peers those of all that are installed and can do it */
export async function measureTcp(
  session: Session,
  peers: readonly Peer[],
  scenarios: readonly Scenario[],
): Promise<Pick<Outcome, 'figures' | 'tables'> & { readonly valid: boolean }> {
  const iperf = findProgram('iperf3');
  if (iperf === null) throw new Error('iperf3 is not installed: apt-get install iperf3');
  const backendPort = await freePort();
  const server = new Program('iperf3', LOAD_CORE, [iperf, '--server', '--bind', '127.0.0.1', '--port', `${backendPort}`]);
  session.owned.push(server);
  await server.listening(backendPort);
  const rows: Row[] = [];
  for (const scenario of SCENARIOS.filter((each) => scenarios.includes(each))) {
    const work = session.work(scenario, 'tcp');
    if (work === null) continue;
    for (const peer of peers.filter((each) => each.scenarios.includes(scenario)))
      await session.start(peer, { ...work, backendPorts: [backendPort, backendPort] });
    for (const direction of DIRECTIONS) {
      const figures = new Map<string, Figure[]>();
      for (let round = 0; round < session.setup.options.rounds; round++) {
        for (const { peer, proxy } of session.running) {
          try {
            if (round === 0) await run(iperf, proxy, direction, WARM_SECONDS);
            const figure = await measureOnce(iperf, proxy, direction, session.setup.options.seconds);
            figures.set(peer, [...(figures.get(peer) ?? []), figure]);
            session.say(
              `  ${scenario} ${direction} ${peer}: ${gigabits(figure.octetsPerSecond)} Gbit/s, ${figure.cpuSecondsPerGiB.toFixed(2)} s CPU a GiB`,
            );
          } catch (error) {
            session.failures.push(`${peer} (${scenario}, ${direction}) failed: ${(error as Error).message}`);
          }
        }
      }
      for (const { peer, proxy } of session.running) {
        const all = figures.get(peer);
        if (all !== undefined) rows.push({ peer, scenario, direction, ...middle(all), memory: memoryOf(proxy) });
      }
    }
    await session.stopProxies();
  }
  return { figures: { tcp: rows }, tables: tables(rows), valid: rows.length > 0 };
}

async function measureOnce(iperf: string, proxy: Running, direction: Row['direction'], seconds: number): Promise<Figure> {
  const before = cpuUs(proxy);
  const { octets, seconds: took } = await run(iperf, proxy, direction, seconds);
  const cpuSeconds = (cpuUs(proxy) - before) / 1e6;
  return { octetsPerSecond: octets / took, cpuSecondsPerGiB: (cpuSeconds * GIB) / octets, octetsPerCpuSecond: octets / cpuSeconds };
}

/** @throws when iperf3 ends without a result */
function run(
  iperf: string,
  { host, port }: Running,
  direction: Row['direction'],
  seconds: number,
): Promise<{ octets: number; seconds: number }> {
  const load = [
    '--client',
    host,
    '--port',
    `${port}`,
    '--length',
    WRITE,
    '--parallel',
    `${CONNECTIONS}`,
    '--time',
    `${Math.ceil(seconds)}`,
  ];
  const args = ['-c', `${LOAD_CORE}`, iperf, ...load, '--json', ...(direction === 'to the client' ? ['--reverse'] : [])];
  return new Promise((resolve, reject) => {
    execFile('taskset', args, { maxBuffer: 1 << 24, timeout: seconds * 1000 + STUCK_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      const report = stdout === '' ? {} : (JSON.parse(stdout) as Report);
      const sum = report.end?.sum_received;
      if (error === null && sum !== undefined && sum.bytes > 0) resolve({ octets: sum.bytes, seconds: sum.seconds });
      else reject(new Error(error?.killed ? 'the load got stuck' : `iperf3: ${report.error ?? error?.message ?? 'nothing was received'}`));
    });
  });
}

/** What is read of iperf3's JSON. */
interface Report {
  readonly error?: string;
  readonly end?: { readonly sum_received?: { readonly bytes: number; readonly seconds: number } };
}

function cpuUs({ programs }: Running): number {
  return programs.reduce((sum, program) => sum + program.cpuUs(), 0);
}

function memoryOf({ programs }: Running): Memory {
  const all = programs.map((program) => program.memory());
  return {
    rssMiB: all.reduce((sum, { rssMiB }) => sum + rssMiB, 0),
    anonymousMiB: all.reduce((sum, { anonymousMiB }) => sum + anonymousMiB, 0),
  };
}

function middle(figures: readonly Figure[]): Figure {
  const of = (value: (figure: Figure) => number): number => median(figures.map(value));
  return {
    octetsPerSecond: of((figure) => figure.octetsPerSecond),
    cpuSecondsPerGiB: of((figure) => figure.cpuSecondsPerGiB),
    octetsPerCpuSecond: of((figure) => figure.octetsPerCpuSecond),
  };
}

function gigabits(octetsPerSecond: number): string {
  return ((octetsPerSecond * 8) / 1e9).toFixed(1);
}

function tables(rows: readonly Row[]): Table[] {
  return SCENARIOS.filter((scenario) => rows.some((row) => row.scenario === scenario)).map((scenario) => ({
    title: SCENARIO_TITLES[scenario],
    rows: [
      ['direction', 'proxy', 'Gbit/s', 'CPU s/GiB', 'GiB/s per core', 'of HAProxy', 'of Envoy', 'RSS MiB', 'anonymous MiB'],
      ...rows
        .filter((row) => row.scenario === scenario)
        .map((row) => {
          const beside = (peer: string): string => {
            const other = rows.find((each) => each.peer === peer && each.scenario === scenario && each.direction === row.direction);
            return other === undefined || other === row ? '' : (row.octetsPerCpuSecond / other.octetsPerCpuSecond).toFixed(2);
          };
          return [
            row.direction,
            row.peer,
            gigabits(row.octetsPerSecond),
            row.cpuSecondsPerGiB.toFixed(2),
            (row.octetsPerCpuSecond / GIB).toFixed(2),
            beside('haproxy'),
            beside('envoy'),
            row.memory.rssMiB.toFixed(0),
            row.memory.anonymousMiB.toFixed(1),
          ];
        }),
    ],
  }));
}
