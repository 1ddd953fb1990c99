// The Gateway API's own conformance suite, unmodified, run against the installed mesh; its verdict by test and its
// report.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import { SUPPORTED_FEATURES } from '#control-plane/lead/mesh-object.ts';
import { LABEL_INJECT } from '#core/contract/names.ts';
import { VERSION } from '#core/contract/version.ts';
import { binary } from '../binaries.ts';
import { type Item, type Objects, runProgram } from './objects.ts';
import { echoContainer, INJECT } from './workloads.ts';

export const REPORTS = path.resolve(import.meta.dirname, '../../../test-results/conformance');
export const MESH_NAMESPACES = ['gateway-conformance-mesh', 'gateway-conformance-mesh-consumer'];
/** The suite 1.6 waits for pods in them even when only a mesh is tested, and makes none itself. */
const GATEWAY_NAMESPACES = ['gateway-conformance-app-backend', 'gateway-conformance-web-backend'];

/** The XMesh object; a value of the chart. */
const MESH_NAME = 'weft';

export interface Verdict {
  /** By the suite's name of a test. */
  readonly tests: ReadonlyMap<string, 'pass' | 'fail' | 'skip'>;
  readonly report: Report;
  /** What the suite printed, for people. */
  readonly output: string;
}

interface Report {
  gatewayAPIVersion: string;
  gatewayAPIChannel: string;
  profiles: { name: string; core: ReportPart; extended?: ReportPart }[];
}

interface ReportPart {
  result: string;
  statistics: { Passed: number; Failed: number; Skipped: number };
}

interface RunOptions {
  readonly profiles: readonly ('MESH-GRPC' | 'MESH-HTTP')[];
  /** Name of the report, without its ending. */
  readonly name: string;
}

/** Makes the namespaces that the suite expects to be there, with one Ready pod each. */
export async function prepareNamespaces(objects: Objects): Promise<void> {
  await objects.must(['delete', 'namespace', ...MESH_NAMESPACES, '--ignore-not-found', '--timeout=180s']);
  await objects.freshNamespaces(Object.fromEntries(GATEWAY_NAMESPACES.map((name) => [name, {}])));
  const pod = (namespace: string): Item => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'present', namespace },
    spec: { containers: [echoContainer()], terminationGracePeriodSeconds: 1 },
  });
  await objects.apply(...GATEWAY_NAMESPACES.map(pod));
  for (const namespace of GATEWAY_NAMESPACES) {
    await objects.must(['wait', '--for=condition=Ready', 'pod/present', '-n', namespace, '--timeout=120s']);
  }
}

export async function dropAll(objects: Objects): Promise<void> {
  await objects.dropNamespaces(...GATEWAY_NAMESPACES, ...MESH_NAMESPACES);
}

/** Runs the suite once. @throws Error with its last lines when it ends before it has tested anything */
export async function runSuite(objects: Objects, { profiles, name }: RunOptions): Promise<Verdict> {
  await mkdir(REPORTS, { recursive: true });
  const reportFile = path.join(REPORTS, `${name}.yaml`);
  await rm(reportFile, { force: true });
  const hasMesh = (await objects.run(['get', 'xmesh', MESH_NAME])).code === 0;
  const { stdout, stderr } = await runProgram(
    await binary('conformance.test'),
    [
      '-test.v',
      '-test.timeout=60m',
      '-gateway-class=',
      `-conformance-profiles=${profiles.join(',')}`,
      // What the mesh itself says that it supports, in the status of its XMesh; the standard channel has none.
      hasMesh ? `-mesh-name=${MESH_NAME}` : `-supported-features=${SUPPORTED_FEATURES.join(',')}`,
      `-namespace-labels=${LABEL_INJECT}=${INJECT[LABEL_INJECT]}`,
      '-cleanup-base-resources=false',
      '-organization=weft',
      '-project=weft',
      '-url=https://weft.dev',
      `-version=${VERSION}`,
      '-contact=https://weft.dev',
      `-report-output=${reportFile}`,
    ],
    { KUBECONFIG: objects.kubeconfig },
  );
  const output = stdout + stderr;
  await writeFile(path.join(REPORTS, `${name}.log`), output);
  const tests = testsOf(output);
  const text = await readFile(reportFile, 'utf8').catch(() => '');
  if (tests.size === 0 || text === '')
    throw new Error(`the conformance suite tested nothing:\n${output.split('\n').slice(-30).join('\n')}`);
  return { tests, report: parse(text) as Report, output };
}

/** Reads `--- PASS: TestConformance/MeshBasic (0.5s)`, not the sub-cases below. */
function testsOf(output: string): Map<string, 'pass' | 'fail' | 'skip'> {
  const tests = new Map<string, 'pass' | 'fail' | 'skip'>();
  for (const [, verdict, test] of output.matchAll(/^\s*--- (PASS|FAIL|SKIP): TestConformance\/([^/\s]+) /gm)) {
    tests.set(test!, verdict!.toLowerCase() as 'pass' | 'fail' | 'skip');
  }
  return tests;
}

/** The lines of the output that belong to a test, its last ones. */
export function outputOf(verdict: Verdict, test: string): string {
  const lines = verdict.output.split('\n');
  const from = lines.findIndex((line) => line.startsWith(`=== RUN   TestConformance/${test}`));
  const to = lines.findIndex((line, index) => index > from && /^=== RUN {3}TestConformance\/[^/]+$/.test(line));
  return lines
    .slice(from, to < 0 ? undefined : to)
    .slice(-40)
    .join('\n');
}
