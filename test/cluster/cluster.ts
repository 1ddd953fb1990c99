// A real single-node Kubernetes from binaries, inside one network namespace, on a Linux machine with root: up, down,
// and single programs of it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { locked } from '../support/go-build.ts';
import { binaries } from './binaries.ts';
import { makePodCgroups, removePodCgroups } from './cgroups.ts';
import {
  COMPONENTS,
  type Component,
  cniConfig,
  commandOf,
  containerdConfig,
  containerdSocket,
  kubeletConfig,
  NODE_NAME,
  type Places,
} from './configuration.ts';
import { exec } from './exec.ts';
import { pauseImage } from './image-list.ts';
import { loadImage } from './images.ts';
import { removeLeftovers, removeTasks, whatIsLeft } from './leftovers.ts';
import { createNetwork, inNetwork, KUBERNETES_SERVICE_ADDRESS, networkName, removeNetwork } from './network.ts';
import { ensurePackages, programPath } from './packages.ts';
import { writePki } from './pki.ts';
import { isRunning, lastLines, type ProcessRecord, recordOf, records, startProcess, statOf, stopProcess } from './processes.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
/** Where a clone's cluster keeps its state; git ignores it. */
export const CLUSTER_DIRECTORY = path.join(ROOT, '.cluster');

const READY_WITHIN_MS = 60_000;
const POLL_MS = 100;

export interface ClusterSettings {
  readonly directory?: string;
  readonly log: (line: string) => void;
  /** The cluster is for this process only: one that it leaves behind is stale. */
  readonly temporary?: boolean;
}

export interface RunningCluster {
  readonly directory: string;
  /** File. */
  readonly kubeconfig: string;
  /** Program. */
  readonly kubectl: string;
  readonly nodeAddress: string;
  /** Name under /run/netns of the namespace all of it lives in. */
  readonly network: string;
  /** Ends one of its programs. */
  stopProcess(name: Component, signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts it again as it was. The API server: resolves when it is ready. */
  startProcess(name: Component): Promise<void>;
}

interface Saved {
  readonly network: string;
  readonly nodeAddress: string;
  readonly kubectl: string;
  /** The test run it is for; absent: it stays until it is taken down. */
  readonly run?: Pick<ProcessRecord, 'pid' | 'startTime'>;
}

/** Two that bring one cluster up or down at the same time do it one after the other. */
const lockOf = (directory: string) => `${directory}.lock`;
const savedFile = (directory: string) => path.join(directory, 'cluster.json');
const stoppedFile = (directory: string, name: Component) => path.join(directory, `${name}.stopped`);

/** A program that a test ended, and will start again if that test still runs. */
interface Stopped extends Pick<ProcessRecord, 'argv' | 'env'> {
  readonly by: Pick<ProcessRecord, 'pid' | 'startTime'>;
}

const self = () => ({ pid: process.pid, startTime: statOf(process.pid)?.startTime ?? '' });

function isStoppedOnPurpose(directory: string, name: Component): boolean {
  const file = stoppedFile(directory, name);
  return existsSync(file) && isRunning((JSON.parse(readFileSync(file, 'utf8')) as Stopped).by);
}

async function until(what: string, directory: string, component: Component, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await condition())) {
    const record = recordOf(directory, component);
    const ended = record !== undefined && !isRunning(record);
    if (ended || Date.now() > deadline) {
      throw new Error(
        `${what}: ${component} ${ended ? 'ended' : `is not there within ${READY_WITHIN_MS / 1000} s`}:\n${lastLines(directory, component)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function runningCluster(directory: string, saved: Saved): RunningCluster {
  const kubeconfig = path.join(directory, 'admin.conf');
  const cluster: RunningCluster = {
    directory,
    kubeconfig,
    kubectl: saved.kubectl,
    nodeAddress: saved.nodeAddress,
    network: saved.network,
    async stopProcess(name, signal) {
      const record = recordOf(directory, name);
      // Kept for the start that follows.
      if (record)
        writeFileSync(stoppedFile(directory, name), JSON.stringify({ argv: record.argv, env: record.env, by: self() } satisfies Stopped));
      await stopProcess(directory, name, signal);
    },
    async startProcess(name) {
      const kept = stoppedFile(directory, name);
      if (!existsSync(kept)) throw new Error(`${name} was not stopped: there is nothing to start again`);
      const { argv, env } = JSON.parse(readFileSync(kept, 'utf8')) as Stopped;
      await startProcess(directory, name, argv, env);
      rmSync(kept);
      if (name === 'apiserver') await apiServerReady(cluster);
    },
  };
  return cluster;
}

async function apiServerReady({ directory, kubectl, kubeconfig }: RunningCluster): Promise<void> {
  await until('the API server does not get ready', directory, 'apiserver', async () => {
    return (await exec(kubectl, ['--kubeconfig', kubeconfig, 'get', '--raw', '/readyz'], { timeoutMs: 5_000 })).code === 0;
  });
}

/**
 * The cluster of this directory, if all of its programs run, but those stopped on purpose; not one that an ended test
 * run left behind.
 */
export function findCluster(directory = CLUSTER_DIRECTORY): RunningCluster | undefined {
  if (!existsSync(savedFile(directory))) return undefined;
  const saved = JSON.parse(readFileSync(savedFile(directory), 'utf8')) as Saved;
  if (saved.run && !isRunning(saved.run)) return undefined;
  const alive = COMPONENTS.every((name) => {
    const record = recordOf(directory, name);
    return isStoppedOnPurpose(directory, name) || (record !== undefined && isRunning(record));
  });
  return alive ? runningCluster(directory, saved) : undefined;
}

/** A cluster made for this test run stays up when it has ended. */
export function keepCluster(directory = CLUSTER_DIRECTORY): void {
  const { run: _, ...saved } = JSON.parse(readFileSync(savedFile(directory), 'utf8')) as Saved;
  writeFileSync(savedFile(directory), `${JSON.stringify(saved)}\n`);
}

/** Which programs run. */
export function componentStates(directory = CLUSTER_DIRECTORY): Record<Component, boolean> {
  return Object.fromEntries(
    COMPONENTS.map((name) => {
      const record = recordOf(directory, name);
      return [name, record !== undefined && isRunning(record)];
    }),
  ) as Record<Component, boolean>;
}

async function startAll(directory: string, places: Places, saved: Saved, log: ClusterSettings['log']): Promise<RunningCluster> {
  const start = (name: Component) => {
    const [program, ...args] = commandOf(name, places);
    return startProcess(directory, name, inNetwork({ name: saved.network }, [programPath(program) ?? program, ...args]));
  };
  const cluster = runningCluster(directory, saved);
  await start('containerd');
  await start('etcd');
  await start('apiserver');
  await until('containerd does not answer', directory, 'containerd', async () => existsSync(containerdSocket(directory)));
  await loadImage(directory, await pauseImage());
  await apiServerReady(cluster);
  log('API server ready');
  for (const name of ['controller-manager', 'scheduler', 'kubelet', 'proxy'] as const) await start(name);
  await until('the node does not get ready', directory, 'kubelet', async () => {
    const path = '{.status.conditions[?(@.type=="Ready")].status}';
    const args = ['--kubeconfig', cluster.kubeconfig, 'get', 'node', NODE_NAME, '-o', `jsonpath=${path}`];
    return (await exec(cluster.kubectl, args, { timeoutMs: 5_000 })).stdout === 'True';
  });
  return cluster;
}

/**
 * Brings the cluster of `directory` up: an empty one with a node that is ready. One that runs is returned as it is;
 * what an earlier run left is
 * taken away first.
 * @throws Error that says what is missing, or which program failed with its last lines
 */
export async function up(settings: ClusterSettings): Promise<RunningCluster> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error('a test cluster needs Linux and root; without them set WEFT_TEST_KUBECONFIG to the kubeconfig of any other cluster');
  }
  const { directory = CLUSTER_DIRECTORY } = settings;
  return locked(lockOf(directory), () => bringUp({ ...settings, directory }));
}

async function bringUp({ directory, log, temporary = false }: ClusterSettings & { directory: string }): Promise<RunningCluster> {
  const found = findCluster(directory);
  if (found) return found;
  await ensurePackages(log);
  const programs = await binaries(
    ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet', 'kubectl', 'etcd', 'pause'],
    log,
  );
  if (existsSync(directory) && readdirSync(directory).length > 0) {
    log('taking down what an earlier run left');
    await takeDown({ directory, log });
  }
  const startedAt = Date.now();
  for (const name of ['pki', 'logs', 'run', 'cni', 'kubelet']) mkdirSync(path.join(directory, name), { recursive: true });
  try {
    const network = await createNetwork(directory);
    const run = temporary ? { run: self() } : {};
    const saved: Saved = { network: network.name, nodeAddress: network.nodeAddress, kubectl: programs.kubectl, ...run };
    writeFileSync(savedFile(directory), `${JSON.stringify(saved)}\n`);
    const file = (name: string) => path.join(directory, name);
    await writePki({
      directory: file('pki'),
      nodeName: NODE_NAME,
      nodeAddress: network.nodeAddress,
      serviceAddress: KUBERNETES_SERVICE_ADDRESS,
      adminKubeconfig: file('admin.conf'),
      nodeKubeconfig: file('node.conf'),
    });
    const podCgroups = makePodCgroups(network.name) ? network.name : '';
    const places: Places = { directory, nodeAddress: network.nodeAddress, podNetwork: network.name, podCgroups, binaries: programs };
    writeFileSync(file('containerd.toml'), containerdConfig(places));
    writeFileSync(file('cni/10-bridge.conflist'), cniConfig(places));
    writeFileSync(file('kubelet.json'), kubeletConfig(places));
    const cluster = await startAll(directory, places, saved, log);
    log(`cluster up in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
    return cluster;
  } catch (error) {
    await takeDown({ directory, log, keepLogs: true });
    throw error;
  }
}

/**
 * Takes the cluster of `directory` down, whatever state it is in.
 * @throws Error naming what is left on the machine nevertheless
 */
export function down({ directory = CLUSTER_DIRECTORY, log }: ClusterSettings): Promise<void> {
  return locked(lockOf(directory), () => takeDown({ directory, log }));
}

/** @param keepLogs leaves the logs of its programs, so that one can find out why it did not come up */
async function takeDown({ directory, log, keepLogs = false }: ClusterSettings & { directory: string; keepLogs?: boolean }): Promise<void> {
  const startedAt = Date.now();
  const network = networkName(directory);
  const stop = (name: string) => stopProcess(directory, name);
  await Promise.all(['kubelet', 'proxy', 'scheduler', 'controller-manager'].map(stop));
  await removeTasks(directory);
  // An orderly end takes seconds and is of no use here.
  await stopProcess(directory, 'apiserver', 'SIGKILL');
  await Promise.all(['etcd', 'containerd'].map(stop));
  await Promise.all(records(directory).map(({ name }) => stop(name)));
  await removeLeftovers(directory);
  removePodCgroups(network);
  await removeNetwork(network);
  const left = whatIsLeft(directory, network);
  if (left.length > 0) throw new Error(`the cluster is not down, left are: ${left.join(', ')}`);
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    if (!(keepLogs && name === 'logs')) rmSync(path.join(directory, name), { recursive: true, force: true });
  }
  if (!keepLogs) rmSync(directory, { recursive: true, force: true });
  log(`cluster down in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}
