// Puts the Weft of this work tree onto a cluster the way people do: `weft install | kubectl apply -f -`.
import path from 'node:path';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { exec, must } from './exec.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const DEPLOYMENTS = [CONTROL_PLANE_NAME, INJECTOR_NAME].map((name) => `deployment/${name}`);
const READY_SECONDS = 120;
const LOOK_MS = 300;

export interface InstallSettings {
  readonly kubectl: string;
  readonly kubeconfig: string;
  /** With tag. */
  readonly image: string;
  /** More arguments of `weft install`. */
  readonly args?: readonly string[];
}

/** The manifests, as `weft install` of dist/ prints them. @throws Error with what it said */
export function manifests({ image, args = [] }: Pick<InstallSettings, 'image' | 'args'>): Promise<string> {
  const colon = image.lastIndexOf(':');
  const set = ['--set', `image.repository=${image.slice(0, colon)}`, '--set', `image.tag=${image.slice(colon + 1)}`];
  return must(process.execPath, [path.join(ROOT, 'dist', 'weft.mjs'), 'install', ...set, ...args]);
}

/**
 * Installs, and waits until all of it is ready. A Weft that is there already is restarted: its image may be another one
 * now.
 * @throws Error that says what is not ready
 */
export async function installWeft(settings: InstallSettings): Promise<void> {
  const inSystem = ['--kubeconfig', settings.kubeconfig, '-n', SYSTEM_NAMESPACE];
  const wasThere = (await exec(settings.kubectl, [...inSystem, 'get', ...DEPLOYMENTS])).code === 0;
  await must(settings.kubectl, ['--kubeconfig', settings.kubeconfig, 'apply', '-f', '-'], { input: await manifests(settings) });
  if (wasThere) await must(settings.kubectl, [...inSystem, 'rollout', 'restart', ...DEPLOYMENTS]);
  for (const deployment of DEPLOYMENTS) {
    const { code, stderr } = await exec(settings.kubectl, [...inSystem, 'rollout', 'status', deployment, `--timeout=${READY_SECONDS}s`]);
    if (code === 0) continue;
    const { stdout: pods } = await exec(settings.kubectl, [...inSystem, 'get', 'pods', '-o', 'wide']);
    const { stdout: logs } = await exec(settings.kubectl, [...inSystem, 'logs', deployment, '--tail=20']);
    throw new Error(`${deployment} is not ready: ${stderr.trim()}\n${pods}${logs}`);
  }
  await formerInjectorsGone(async (args) => (await exec(settings.kubectl, [...inSystem, ...args])).stdout);
}

/**
 * Waits until injectors that are stopping have ended: over a connection that it keeps, the API server may ask one of
 * them once more, and the
 * pod has what was set before.
 * @param kubectl runs kubectl in the system namespace and gives its standard output
 * @throws Error naming those that do not end
 */
export async function formerInjectorsGone(kubectl: (args: readonly string[]) => Promise<string>): Promise<void> {
  const names = '{range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name}{"\\n"}{end}';
  const deadline = Date.now() + READY_SECONDS * 1000;
  for (;;) {
    const stopping = (await kubectl(['get', 'pods', '-o', `jsonpath=${names}`]))
      .split('\n')
      .filter((name) => name.startsWith(INJECTOR_NAME));
    if (stopping.length === 0) return;
    if (Date.now() > deadline) throw new Error(`${stopping.join(', ')} did not end`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
