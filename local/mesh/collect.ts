// Asks the sidecars of running pods what they have counted.
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { fetchText } from '../network/probe.ts';
import { type RunningPod, SIDECAR } from '../process/pod.ts';
import type { Ledger } from '../stats/ledger.ts';
import { parseStats } from '../stats/snapshot.ts';

const STATS_TIMEOUT_MS = 800;

/**
 * Puts what the pods' sidecars have counted into the ledger; a sidecar that does not answer in time is left out. Never
 * throws.
 */
export async function collectStats(pods: readonly RunningPod[], ledger: Ledger): Promise<void> {
  await Promise.all(
    pods.map(async (pod) => {
      const pid = pod.pids()[SIDECAR];
      if (pid === undefined) return;
      const answer = await fetchText(pod.plan.podAddress, SIDECAR_ADMIN_PORT, '/stats', STATS_TIMEOUT_MS);
      const series = answer?.status === 200 ? parseStats(answer.body) : undefined;
      // A sidecar that has restarted meanwhile counts from zero: its reading must not be taken for the old one's.
      if (series && pod.pids()[SIDECAR] === pid) ledger.ingest(pod.plan.key, series);
    }),
  );
}
