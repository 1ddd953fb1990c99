// The frame of a story: namespaces of its own, callers that end with it, and what is worth keeping when a test of it
// fails.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { LABEL_INJECT, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { Caller } from './caller.ts';
import { injectionWorks } from './install.ts';
import { type Objects, openObjects, type PodItem } from './objects.ts';

/** Starting pods on a small machine under load takes its time; nothing is measured with this. */
const SETUP_MS = 300_000;
const TEST_MS = 180_000;
const LOG_LINES = 200;
const RESULTS = path.resolve(import.meta.dirname, '../../../test-results/e2e');

export interface Scene {
  readonly objects: Objects;
  /** Starts a caller in a namespace; see Caller.start. */
  caller(namespace: string, name?: string, labels?: Record<string, string>, pod?: Record<string, unknown>): Promise<Caller>;
}

/**
 * To be called in a `describe`: opens the cluster, makes the namespaces with their labels before its tests, drops them
 * after.
 */
export function scene(namespaces: Readonly<Record<string, Record<string, string>>>): Scene {
  const names = Object.keys(namespaces);
  const callers: Caller[] = [];
  let objects: Objects | undefined;
  const open = (): Objects => {
    if (objects === undefined) throw new Error('the cluster is opened in the before hook');
    return objects;
  };
  before(async function () {
    this.timeout(SETUP_MS);
    objects = await openObjects();
    if (names.length > 0) await objects.freshNamespaces(namespaces);
    if (names.some((name) => namespaces[name]?.[LABEL_INJECT] === 'enabled')) await injectionWorks(objects);
  });
  beforeEach(function () {
    this.timeout(TEST_MS);
  });
  afterEach(async function () {
    this.timeout(TEST_MS);
    if (this.currentTest?.state === 'failed' && objects !== undefined) await keepEvidence(objects, this.currentTest.fullTitle(), names);
  });
  after(async function () {
    this.timeout(TEST_MS);
    for (const caller of callers) caller.close();
    if (process.env.WEFT_KEEP_NAMESPACES !== '1' && names.length > 0) await objects?.dropNamespaces(...names);
  });
  return {
    get objects() {
      return open();
    },
    caller: async (namespace, name, labels, pod) => {
      const caller = await Caller.start(open(), namespace, name, labels, pod);
      callers.push(caller);
      return caller;
    },
  };
}

async function keepEvidence(objects: Objects, title: string, namespaces: readonly string[]): Promise<void> {
  const parts: string[] = [];
  for (const namespace of [SYSTEM_NAMESPACE, ...namespaces]) {
    for (const args of [
      ['get', 'pods,services,endpointslices,grpcroutes', '-o', 'wide'],
      ['get', 'grpcroutes', '-o', 'yaml'],
      ['get', 'events', '--sort-by=.lastTimestamp'],
    ]) {
      const { stdout, stderr } = await objects.run([...args, '-n', namespace]);
      parts.push(`# kubectl ${args.join(' ')} -n ${namespace}`, stdout, stderr);
    }
    for (const pod of await objects.list<PodItem>('pods', namespace)) {
      const args = ['logs', pod.metadata.name, '-n', namespace, '--all-containers', `--tail=${LOG_LINES}`, '--prefix'];
      parts.push(`# kubectl ${args.join(' ')}`, (await objects.run(args)).stdout);
    }
  }
  await mkdir(RESULTS, { recursive: true });
  await writeFile(path.join(RESULTS, `${title.replace(/[^a-zA-Z0-9]+/g, '-').slice(0, 120)}.txt`), parts.join('\n'));
}
