// Puts the Weft of this work tree onto a cluster the way people do: `weft install | kubectl apply -f -`.
import path from 'node:path';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, SYSTEM_NAMESPACE } from '#core/names.ts';
import { exec, must } from './exec.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const DEPLOYMENTS = [CONTROL_PLANE_NAME, INJECTOR_NAME].map((name) => `deployment/${name}`);
const READY_SECONDS = 120;

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

/** Installs, and waits until all of it is ready. A Weft that is there already is restarted: its image may be another one now. @throws Error that says what is not ready */
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
}
