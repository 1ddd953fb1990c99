// Debian packages that a test cluster needs: installed when we may, named exactly when we may not.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { exec } from './exec.ts';

/** Package → a file it brings; a bare name is looked for where programs are. */
const NEEDED: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  runc: 'runc',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  iptables: 'iptables',
  nftables: 'nft',
  iproute2: 'ip',
  conntrack: 'conntrack',
  ethtool: 'ethtool',
  socat: 'socat',
  'util-linux': 'nsenter',
};

const PLACES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Where a program is, looking also where only root's PATH does; undefined if nowhere. */
export function programPath(name: string, exists: (file: string) => boolean = existsSync): string | undefined {
  const places = [...PLACES, ...(process.env.PATH ?? '').split(':')];
  return places.map((place) => path.join(place, name)).find(exists);
}

/** Names of the packages whose files are not there. */
export function missingPackages(exists: (file: string) => boolean = existsSync): string[] {
  return Object.entries(NEEDED)
    .filter(([, file]) => !(file.startsWith('/') ? exists(file) : programPath(file, exists)))
    .map(([name]) => name);
}

/** Makes sure all are there. @throws Error that names what is missing and the command that brings it */
export async function ensurePackages(say: (line: string) => void): Promise<void> {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  const explain = (why: string) => new Error(`a test cluster needs the Debian packages ${missing.join(', ')}; ${why}: ${command}`);
  if (process.getuid?.() !== 0) throw explain('as root run');
  if (!programPath('apt-get')) throw explain('this machine has no apt-get, so bring their programs some other way. On Debian it is');
  say(`installing ${missing.join(', ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await exec('apt-get', ['update'], { env });
  const { code, stderr } = await exec('apt-get', ['install', '-y', '--no-install-recommends', ...missing], { env });
  const still = missingPackages();
  if (still.length > 0)
    throw explain(`apt-get ended with ${code} (${stderr.trim().split('\n').at(-1)}) and ${still.join(', ')} is not there`);
}
