// The API server as the stories use it: by kubectl, as a person would, with its answers as values.
import { spawn } from 'node:child_process';
import type { ObjectMeta } from '#kube/object.ts';
import { binary } from '../binaries.ts';
import { openCluster } from '../session.ts';

/** Any object, as it is written and read; `T` names what a story reads of it. */
export interface Item {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta & { name: string };
  [field: string]: unknown;
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** A pod, as far as the stories look at it. */
export interface PodItem extends Item {
  spec: { containers: Container[]; initContainers?: Container[]; nodeName?: string };
  status: {
    phase: string;
    podIP?: string;
    conditions?: { type: string; status: string; lastTransitionTime: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

interface Container {
  name: string;
  image: string;
  readinessProbe?: Record<string, unknown>;
}

interface ContainerStatus {
  name: string;
  ready: boolean;
  restartCount: number;
  started?: boolean;
  containerID?: string;
  state: Record<string, { message?: string; reason?: string; exitCode?: number }>;
}

export interface EventItem extends Item {
  type: string;
  reason: string;
  message: string;
  involvedObject: { kind: string; name: string; namespace?: string };
}

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Objects {
  readonly kubeconfig: string;
  readonly kubectlPath: string;

  constructor(kubectlPath: string, kubeconfig: string) {
    this.kubectlPath = kubectlPath;
    this.kubeconfig = kubeconfig;
  }

  /** Runs kubectl; never throws because of its exit code. */
  run(args: readonly string[], input = ''): Promise<Answer> {
    return runProgram(this.kubectlPath, args, { KUBECONFIG: this.kubeconfig }, input);
  }

  /** Standard output. @throws Error with what kubectl says, when it fails */
  async must(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim()}`);
    return stdout;
  }

  async apply(...items: Item[]): Promise<void> {
    await this.must(['apply', '-f', '-'], listOf(items));
  }

  /** What the API server says to objects that it must not take. @throws Error when it takes them */
  async refused(...items: Item[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(['apply', '-f', '-'], listOf(items));
    if (code === 0) throw new Error(`the API server took what it should refuse: ${stdout}`);
    return stderr;
  }

  async get<T extends Item = Item>(kind: string, name: string, namespace?: string): Promise<T | undefined> {
    const text = await this.must(['get', kind, name, '-o', 'json', '--ignore-not-found', ...inNamespace(namespace)]);
    return text.trim() === '' ? undefined : (JSON.parse(text) as T);
  }

  async list<T extends Item = Item>(kind: string, namespace?: string, selector?: string): Promise<T[]> {
    const where = namespace === undefined ? ['-A'] : ['-n', namespace];
    const text = await this.must(['get', kind, '-o', 'json', ...where, ...(selector === undefined ? [] : ['-l', selector])]);
    return (JSON.parse(text) as { items: T[] }).items;
  }

  async patch(
    kind: string,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    type = 'merge',
    extra: string[] = [],
  ): Promise<void> {
    await this.must(['patch', kind, name, ...inNamespace(namespace), `--type=${type}`, '-p', JSON.stringify(patch), ...extra]);
  }

  async delete(kind: string, name: string, namespace?: string, extra: readonly string[] = []): Promise<void> {
    await this.must(['delete', kind, name, '--ignore-not-found', ...inNamespace(namespace), ...extra]);
  }

  async scale(deployment: string, namespace: string, replicas: number): Promise<void> {
    await this.must(['scale', 'deployment', deployment, '-n', namespace, `--replicas=${replicas}`]);
  }

  /** Waits until Deployments have all their pods of the newest kind available. */
  async rolledOut(namespace: string, ...deployments: string[]): Promise<void> {
    await Promise.all(deployments.map((name) => this.must(['rollout', 'status', `deployment/${name}`, '-n', namespace, '--timeout=180s'])));
  }

  /** Events about an object, newest last. */
  async eventsAbout(namespace: string, kind: string, name?: string): Promise<EventItem[]> {
    const events = await this.list<EventItem>('events', namespace);
    return events.filter(({ involvedObject }) => involvedObject.kind === kind && (name === undefined || involvedObject.name === name));
  }

  /** Makes namespaces of this run's own: what an earlier run left under these names goes first. */
  async freshNamespaces(labels: Readonly<Record<string, Record<string, string>>>): Promise<void> {
    const names = Object.keys(labels);
    await this.must(['delete', 'namespace', ...names, '--ignore-not-found', '--timeout=120s']);
    await this.apply(...names.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: labels[name] } })));
    // The ServiceAccount "default" is made by a controller a moment later; pods made before are refused.
    for (const name of names)
      await eventually(`ServiceAccount default of ${name}`, async () => (await this.get('serviceaccount', 'default', name)) !== undefined);
  }

  async dropNamespaces(...names: string[]): Promise<void> {
    await this.run(['delete', 'namespace', ...names, '--ignore-not-found', '--wait=false']);
  }
}

let opened: Promise<Objects> | undefined;

/** The cluster that these tests run in; opened once a process. */
export function openObjects(): Promise<Objects> {
  opened ??= (async () => {
    const [cluster, kubectl] = await Promise.all([openCluster(), binary('kubectl')]);
    return new Objects(kubectl, cluster.kubeconfig);
  })();
  return opened;
}

/**
 * Polls until `test` gives something other than false or undefined.
 * @throws Error naming `what` and the last thing that went wrong
 */
export async function eventually<T>(
  what: string,
  test: () => Promise<T | false | undefined>,
  withinMs = 60_000,
  everyMs = 300,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  let last = '';
  for (;;) {
    try {
      const result = await test();
      if (result !== false && result !== undefined) return result;
      last = '';
    } catch (error) {
      last = `: ${(error as Error).message}`;
    }
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}${last}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Runs a program to its end. */
export function runProgram(program: string, args: readonly string[], env: Record<string, string>, input = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => {});
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    child.stdin.end(input);
  });
}

function listOf(items: readonly Item[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

function inNamespace(namespace: string | undefined): string[] {
  return namespace === undefined ? [] : ['-n', namespace];
}
