// What the cluster tests call: one cluster, brought up when needed or given by WEFT_TEST_KUBECONFIG, and kubectl on it.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { binary } from './binaries.ts';
import { down, findCluster, keepCluster, type RunningCluster, up } from './cluster.ts';
import type { Component } from './configuration.ts';
import { exec, type Finished, must } from './exec.ts';
import { type Image, loadImage } from './images.ts';
import { provision } from './provision.ts';

export interface Session {
  /** File. */
  readonly kubeconfig: string;
  /** True: not our cluster, its programs and images are out of reach. */
  readonly external: boolean;
  /** Runs kubectl; never rejects because of its exit code. */
  kubectl(args: readonly string[], settings?: { input?: string; timeoutMs?: number }): Promise<Finished>;
  /** Applies YAML or JSON documents. @throws Error with what kubectl said */
  apply(yaml: string): Promise<void>;
  /**
   * `kubectl wait` for a condition, such as `waitFor('pod/a', 'Ready', { namespace: 'shop' })`.
   * @throws Error when it does not hold in time
   */
  waitFor(object: string, condition: string, settings?: { namespace?: string; seconds?: number }): Promise<void>;
  /** Ends one of the cluster's programs, and starts it again. @throws Error on an external cluster */
  stop(name: Component, signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  start(name: Component): Promise<void>;
  /** @throws Error on an external cluster: its images have to be there */
  loadImage(image: Image): Promise<void>;
  /** Gives back what opening took: the cluster, if this process brought it up and WEFT_KEEP_CLUSTER is not 1. */
  close(): Promise<void>;
}

const WAIT_SECONDS = 120;
const say = (line: string) => process.stderr.write(`cluster: ${line}\n`);

function makeSession(kubectl: string, kubeconfig: string, cluster: RunningCluster | undefined, close: Session['close']): Session {
  const own = (what: string): RunningCluster => {
    if (cluster) return cluster;
    throw new Error(`${what} needs a cluster of our own: WEFT_TEST_KUBECONFIG names another`);
  };
  const inCluster = (args: readonly string[]) => ['--kubeconfig', kubeconfig, ...args];
  return {
    kubeconfig,
    external: cluster === undefined,
    kubectl: (args, settings) => exec(kubectl, inCluster(args), settings),
    async apply(yaml) {
      await must(kubectl, inCluster(['apply', '-f', '-']), { input: yaml });
    },
    async waitFor(object, condition, { namespace = 'default', seconds = WAIT_SECONDS } = {}) {
      await must(kubectl, inCluster(['-n', namespace, 'wait', `--for=condition=${condition}`, object, `--timeout=${seconds}s`]));
    },
    stop: (name, signal) => own(`stopping ${name}`).stopProcess(name, signal),
    start: (name) => own(`starting ${name}`).startProcess(name),
    async loadImage(image) {
      await loadImage(own('loading an image').directory, image);
    },
    close,
  };
}

async function open(): Promise<Session> {
  const external = process.env.WEFT_TEST_KUBECONFIG;
  if (external) {
    const kubeconfig = path.resolve(external);
    if (!existsSync(kubeconfig)) throw new Error(`WEFT_TEST_KUBECONFIG: there is no file ${kubeconfig}`);
    return makeSession(await binary('kubectl', say), kubeconfig, undefined, async () => {});
  }
  const found = findCluster();
  const cluster = found ?? (await up({ log: say, temporary: true }));
  if (!found) await provision(cluster, say);
  return makeSession(cluster.kubectl, cluster.kubeconfig, cluster, async () => {
    if (found) return;
    if (process.env.WEFT_KEEP_CLUSTER === '1') {
      keepCluster();
      say(`the cluster stays up: export KUBECONFIG=${cluster.kubeconfig}`);
    } else await down({ log: say });
  });
}

let opened: Promise<Session> | undefined;

/** The cluster that tests run in; opened once a process. One that is up already is used, and left up. */
export function openCluster(): Promise<Session> {
  opened ??= open();
  return opened;
}
