// The control plane fed from a directory of manifests, as a whole: for trying Weft without a cluster, sidecars started
// by hand.
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '#certs/authority.ts';
import type { Logger } from '#core/program/log.ts';
import type { Pod } from '#objects/pod.ts';
import { TokenIssuer } from '../issue/token.ts';
import { DirectorySource } from '../source/files/directory-source.ts';
import { startView } from '../view/server.ts';
import { type ControlPlane, startControlPlane } from './assemble.ts';

const TOKEN_LIFETIME_MS = 24 * 3600_000;

export interface DirectoryProgramDeps {
  readonly dir: string;
  /** Where roots and tokens are written for sidecars; undefined: nowhere. */
  readonly secrets: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly viewPort: number;
  readonly trustDomain: string;
  readonly log: Logger;
}

/** @returns what stops it. @throws DirectoryError, ControlPlaneStartError, or a system error when a port is taken */
export async function startDirectoryProgram(settings: DirectoryProgramDeps): Promise<() => Promise<void>> {
  const { trustDomain, host, log } = settings;
  const tokens = new TokenIssuer({ now: Date.now });
  const authority = await Authority.create({ trustDomain, now: Date.now });
  let controlPlane: ControlPlane | null = null;
  const objects = () => source.objects().map(({ object }) => object);
  const secrets = async (): Promise<void> => {
    if (settings.secrets !== undefined) await writeSecrets(settings.secrets, authority, tokens, objects());
  };
  const fail = (error: unknown): void => log.error('tokens cannot be written', { error });
  const source = new DirectorySource({
    dir: settings.dir,
    log: log.child('files'),
    onChange: () => {
      controlPlane?.setObjects(objects());
      secrets().catch(fail);
    },
  });
  await source.start();
  await secrets();
  const plane = await startControlPlane({ authority, verifyToken: tokens.verify, host, port: settings.port, objects: objects(), log });
  controlPlane = plane;
  const around = { replica: 'directory', leader: true, trustDomain, missingKinds: [], problems: [], reflectors: [] };
  const view = await startView({ host, port: settings.viewPort, serving: () => plane, ready: () => true, around: () => around });
  const renewal = setInterval(() => void secrets().catch(fail), TOKEN_LIFETIME_MS / 2);
  log.info('the control plane serves', { address: `${host}:${plane.port}`, view: `${host}:${view.port}`, dir: settings.dir });
  return async () => {
    clearInterval(renewal);
    source.stop();
    await view.close();
    await plane.close();
  };
}

async function writeSecrets(dir: string, authority: Authority, tokens: TokenIssuer, objects: readonly { kind: string }[]): Promise<void> {
  await fs.mkdir(dir, { recursive: true, mode: 0o700 });
  await fs.writeFile(join(dir, 'roots.pem'), authority.rootsPem());
  for (const object of objects) {
    if (object.kind !== 'Pod') continue;
    const { metadata, spec } = object as Pod;
    const identity = { namespace: metadata!.namespace!, serviceAccount: spec?.serviceAccountName || 'default', pod: metadata!.name! };
    const token = tokens.sign({ ...identity, lifetimeMs: TOKEN_LIFETIME_MS });
    // A name with a slash is no pod's; it must not become a path.
    const file = `${identity.namespace}_${identity.pod}.token`.replaceAll('/', '_');
    await fs.writeFile(join(dir, file), token, { mode: 0o600 });
  }
}
