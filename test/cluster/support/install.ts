// Weft's own installation, as a person does it: `weft install | kubectl apply -f -`; and `weft` of the build under test.
import path from 'node:path';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, SYSTEM_NAMESPACE } from '#core/names.ts';
import { manifests } from '../install.ts';
import { type Answer, type Objects, runProgram } from './objects.ts';
import { CALLER_IMAGE } from './workloads.ts';

const WEFT = path.resolve(import.meta.dirname, '../../../dist/weft.mjs');

/** Runs `weft` against the cluster. */
export function weft(objects: Objects, args: readonly string[], input?: string): Promise<Answer> {
  return runProgram(process.execPath, [WEFT, ...args], { KUBECONFIG: objects.kubeconfig, NO_COLOR: '1' }, input);
}

/** Installs, or installs again with other values (`key=value`), and waits until both programs run. @returns what kubectl says of each object */
export async function install(objects: Objects, ...values: string[]): Promise<string> {
  const args = values.flatMap((value) => ['--set', value]);
  const said = await objects.must(['apply', '-f', '-'], await manifests({ image: CALLER_IMAGE, args }));
  await objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME, INJECTOR_NAME);
  return said;
}
