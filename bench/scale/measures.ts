// What the scale test measures: each function one thing, on what is running.
import { PLACES_RESOURCE, serviceResourceName } from '#core/contract/resource-names.ts';
import { sleep } from '../processes.ts';
import type { Crowd } from './crowd.ts';
import { BIG, NAMESPACE, type ScaleObjects } from './objects.ts';
import type { ScaleOptions } from './options.ts';
import type { Plane } from './plane.ts';

/** A change of one kind, made several times. */
export interface ChangeFigures {
  readonly change: string;
  /** On the wire, of one sidecar and one change. */
  readonly octetsEach: number;
  /** From the API server's answer until the last sidecar has it: median and most. */
  readonly medianMs: number;
  readonly mostMs: number;
  readonly longestBlockMs: number;
}

export interface MemoryStep {
  readonly sidecars: number;
  /** After a collection. */
  readonly rssMiB: number;
  readonly heapMiB: number;
  readonly peakRssMiB: number;
}

export interface ReturnFigures {
  readonly what: string;
  /** From the kill until all were connected again, and since the replica was ready. */
  readonly allMs: number;
  readonly afterReadyMs: number;
  readonly longestBlockMs: number;
  readonly peakRssMiB: number;
  readonly octetsEach: number;
}

export interface VerdictFigures {
  readonly routes: number;
  /** Since the control plane was ready; null: they have not all come within the time. */
  readonly allMs: number | null;
  readonly churning: number;
  /** From the API server's answer to the change until its verdict stands there: median and most. */
  readonly medianMs: number;
  readonly mostMs: number;
  readonly longestBlockMs: number;
  /** Status writes while nothing changed; null: not measured. */
  readonly idleWrites: number | null;
}

const now = (): number => performance.timeOrigin + performance.now();
/** What goes out is counted when it has been quiet for so long. */
const QUIET_MS = 500;
const PAUSE_MS = 200;
const VERDICTS_WITHIN_MS = 180_000;
const VERDICT_POLL_MS = 25;
const CHURN_EVERY_MS = 1000;
/** Longer than between two writes of one route's count (COUNTS_EVERY_MS in control-plane/lead/applied.ts). */
const SETTLED_MS = 35_000;
const WRITES = 'weft_control_plane_status_writes_total{result="written"} ';

export async function memoryOf(plane: Plane, sidecars: number): Promise<MemoryStep> {
  await quiet(plane);
  const { rssMiB, heapUsedMiB } = await plane.probe('collect');
  return { sidecars, rssMiB, heapMiB: heapUsedMiB, peakRssMiB: plane.peakRssMiB() };
}

/** @param resource that every sidecar gets by this change; @param make makes it for the n-th time */
async function changeOf(
  change: string,
  plane: Plane,
  crowd: Crowd,
  times: number,
  resource: string,
  make: (i: number) => Promise<void>,
): Promise<ChangeFigures> {
  await quiet(plane);
  await plane.probe('reset');
  const before = await crowd.octets();
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    await crowd.mark(resource);
    const marked = crowd.marked();
    marked.catch(() => {}); // looked at below, unless the change fails
    await make(i);
    const answeredMs = now();
    took.push((await marked) - answeredMs);
    await sleep(PAUSE_MS);
  }
  await sleep(QUIET_MS);
  const octets = (await crowd.octets()) - before;
  const { longestBlockMs } = await plane.probe();
  took.sort((a, b) => a - b);
  return { change, octetsEach: octets / times / crowd.size, medianMs: took[took.length >> 1]!, mostMs: took.at(-1)!, longestBlockMs };
}

export async function* changes(plane: Plane, crowd: Crowd, objects: ScaleObjects, times: number): AsyncGenerator<ChangeFigures> {
  const endpoints = serviceResourceName('endpoints', `${NAMESPACE}/${BIG}`);
  const measure = (change: string, resource: string, make: (i: number) => Promise<void>) =>
    changeOf(change, plane, crowd, times, resource, make);
  yield await measure('an endpoint of 1,000 goes, or comes back', endpoints, (i) => objects.changeBig(i % 2 === 1));
  yield await measure('a Service is new', PLACES_RESOURCE, (i) => objects.newService(i));
  yield await measure('a Service that all use changes its settings', endpoints, (i) => objects.changeSettings(i));
}

/** The replica is killed, and `again` starts the next one. */
export async function returns(what: string, plane: Plane, crowd: Crowd, again: () => Plane): Promise<[Plane, ReturnFigures]> {
  const before = await crowd.octets();
  const killedMs = now();
  await plane.end('SIGKILL');
  await crowd.connected(false);
  const next = again();
  const connected = crowd.connected();
  connected.catch(() => {}); // looked at below, unless the control plane does not get ready
  await next.ready();
  const readyMs = now();
  const lastMs = await connected;
  next.mustRun();
  await sleep(QUIET_MS);
  const { longestBlockMs } = await next.probe();
  const octetsEach = ((await crowd.octets()) - before) / crowd.size;
  return [
    next,
    { what, allMs: lastMs - killedMs, afterReadyMs: lastMs - readyMs, longestBlockMs, peakRssMiB: next.peakRssMiB(), octetsEach },
  ];
}

/** The plane has just become ready, and no route has a verdict yet. `churn`: sidecars that want the routes whose counts change. */
export async function verdicts(
  plane: Plane,
  objects: ScaleObjects,
  churn: Crowd,
  { routes, churning, changes: times, idle }: Pick<ScaleOptions, 'routes' | 'churning' | 'changes' | 'idle'>,
): Promise<VerdictFigures> {
  const began = now();
  let allMs: number | null = null;
  while (allMs === null && now() - began < VERDICTS_WITHIN_MS) {
    // To list all routes again and again would take the API server's time.
    if ((await plane.metric(WRITES)) >= routes && (await objects.judged()) === routes) allMs = now() - began;
    else await sleep(PAUSE_MS);
  }
  await churn.connected();
  await plane.probe('reset');
  let turn = 0;
  let stopped = false;
  const churned = (async () => {
    while (!stopped) {
      await churn.toggle(turn++ % churn.size);
      await sleep(CHURN_EVERY_MS);
    }
  })();
  await sleep(CHURN_EVERY_MS * 5);
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    const route = Math.floor((i * routes) / times);
    const generation = await objects.changeRoute(route, i + 1);
    const answeredMs = now();
    while (!(await isJudged(objects, route, generation))) await sleep(VERDICT_POLL_MS);
    took.push(now() - answeredMs);
    await sleep(CHURN_EVERY_MS / 3);
  }
  const { longestBlockMs } = await plane.probe();
  stopped = true;
  await churned;
  took.sort((a, b) => a - b);
  const idleWrites = idle === 0 ? null : await writesWithin(plane, idle * 1000);
  return { routes, allMs, churning, medianMs: took[took.length >> 1]!, mostMs: took.at(-1)!, longestBlockMs, idleWrites };
}

async function writesWithin(plane: Plane, ms: number): Promise<number> {
  await settled(plane);
  const before = await plane.metric(WRITES);
  await sleep(ms);
  return (await plane.metric(WRITES)) - before;
}

async function isJudged(objects: ScaleObjects, route: number, generation: number): Promise<boolean> {
  const { status } = await objects.getRoute(route);
  return status?.parents?.[0]?.conditions?.some((one) => one.type === 'Accepted' && one.observedGeneration === generation) ?? false;
}

/** All counts are written: nothing has been for longer than the time between two writes of one route. */
async function settled(plane: Plane): Promise<void> {
  let before = -1;
  for (let quietMs = 0; quietMs < SETTLED_MS; quietMs += 1000) {
    const writes = await plane.metric(WRITES);
    if (writes !== before) quietMs = 0;
    before = writes;
    await sleep(1000);
  }
}

/** No sidecar waits for anything. */
async function quiet(plane: Plane): Promise<void> {
  while ((await plane.metric('weft_control_plane_sidecars_behind ')) > 0) await sleep(PAUSE_MS);
  await sleep(QUIET_MS);
}
