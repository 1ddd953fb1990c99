// Restarts the control plane, and says how long it takes from the start of its process until it is ready. Our own
// cluster only.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CONTROL_PLANE_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { KubeClient } from '#kube/api.ts';
import { podKind } from '#objects/pod.ts';
import { type Measured, watch } from '../../../bench/processes.ts';
import { must } from '../exec.ts';
import { allPids, statOf } from '../processes.ts';
import { eventually, type PodItem } from '../support/objects.ts';

const READY = 'http://127.0.0.1:15014/readyz';
const PROGRAM = 'control-plane.mjs';
const LOOK_MS = 10;
const WITHIN_MS = 120_000;
/** Of the start times in /proc. */
const TICK_MS = 10;

export type Process = Measured & { readonly pid: number };

/**
 * Deletes its pod; the next one is what is measured.
 * @returns its process, ms from start to ready, CPU ms until then
 */
export async function restartControlPlane(client: KubeClient): Promise<{ plane: Process; tookMs: number; cpuMs: number }> {
  const old = await controlPlanePod(client);
  const where = { kind: podKind, namespace: SYSTEM_NAMESPACE };
  await client.request('DELETE', { ...where, name: old.metadata.name });
  const pod = await eventually('the next pod', async () => {
    const found = await controlPlanePod(client);
    return found.metadata.uid !== old.metadata.uid && found;
  });
  const plane = await eventually('its process', async () => processOf(pod), WITHIN_MS, LOOK_MS);
  const program = path.join(import.meta.dirname, 'until-ready.ts');
  const at = await must('nsenter', [`--net=/proc/${plane.pid}/ns/net`, process.execPath, program, READY], { timeoutMs: WITHIN_MS });
  return { plane, tookMs: Number(at) - startedAtMs(plane.pid), cpuMs: plane.cpuUs() / 1000 };
}

/** The process of the control plane that runs. */
export async function controlPlane(client: KubeClient): Promise<Process> {
  const found = processOf(await controlPlanePod(client));
  if (found === undefined) throw new Error('the control plane does not run on this machine');
  return found;
}

/** The newest of its pods. */
async function controlPlanePod(client: KubeClient): Promise<PodItem> {
  const { items } = await client.request<{ items: PodItem[] }>('GET', { kind: podKind, namespace: SYSTEM_NAMESPACE });
  const [newest] = items
    .filter(({ metadata }) => metadata.name.startsWith(CONTROL_PLANE_NAME) && metadata.deletionTimestamp === undefined)
    .sort((a, b) => b.metadata.creationTimestamp!.localeCompare(a.metadata.creationTimestamp!));
  if (newest === undefined) throw new Error(`no pod of ${CONTROL_PLANE_NAME} now`);
  return newest;
}

/** By the pod's name in its environment: earlier than the API server knows the container. */
function processOf(pod: PodItem): Process | undefined {
  for (const pid of allPids()) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(PROGRAM)) continue;
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`WEFT_POD_NAME=${pod.metadata.name}\0`)) continue;
      return { ...watch(CONTROL_PLANE_NAME, pid), pid };
    } catch {
      // gone meanwhile
    }
  }
  return undefined;
}

/** Since the epoch. */
function startedAtMs(pid: number): number {
  const uptimeMs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
  return Date.now() - uptimeMs + Number(statOf(pid)!.startTime) * TICK_MS;
}
