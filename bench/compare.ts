// The comparison of proxies: each scenario and shape, proxies taking turns, and their memory.
import { combine, type Measurement, shapeName } from './measure.ts';
import { idleRows, type MemoryRow, measureGrowth } from './memory.ts';
import type { Peer, Scenario } from './peers/peer.ts';
import type { Session } from './session.ts';
import { SHAPES } from './work.ts';

/**
 * Starts the proxies of a scenario and measures them in turns.
 * @param growing name of the peer whose memory is watched over many more requests
 */
export async function compare(
  session: Session,
  scenario: Scenario,
  peers: readonly Peer[],
  growing: string,
): Promise<{ results: Measurement[]; memory: MemoryRow[] }> {
  const { options, load } = session.setup;
  const work = session.work(scenario);
  if (work === null) return { results: [], memory: [] };
  for (const peer of peers.filter(({ scenarios, protocols }) => scenarios.includes(scenario) && protocols.includes(load.protocol)))
    await session.start(peer, work);
  const { running } = session;
  const memory = await idleRows(running);
  const results: Measurement[] = [];
  for (const shape of SHAPES.filter(
    (each) => options.shapes.includes(shapeName(each)) && (load.protocol === 'grpc' || each.streams === 1),
  )) {
    const byPeer = new Map<string, Measurement[]>();
    for (let round = 0; round < options.rounds; round++) {
      for (const runner of running) {
        const result = await session.measure(runner, shape, round);
        if (result !== null) byPeer.set(runner.peer, [...(byPeer.get(runner.peer) ?? []), result]);
      }
    }
    for (const all of byPeer.values()) results.push(combine(all));
  }
  const programs = running.flatMap(({ proxy }) => proxy.programs);
  for (const [i, row] of memory.entries()) row.afterLoad = programs[i].memory();
  if (options.growth > 0) await watchGrowth(session, memory, growing);
  await session.stopProxies();
  return { results, memory };
}

async function watchGrowth(session: Session, rows: readonly MemoryRow[], growing: string): Promise<void> {
  const runner = session.running.find(({ peer }) => peer === growing);
  if (runner === undefined) return;
  const { growthMiB, errors } = await measureGrowth(session.setup.load, runner.proxy, session.setup.options.growth);
  if (errors > 0) session.notes.push(`${growing} (${runner.scenario}): ${errors} errors in the growth measure`);
  for (const [i, row] of rows.filter(({ peer }) => peer === growing).entries()) row.growthMiB = growthMiB[i];
}
