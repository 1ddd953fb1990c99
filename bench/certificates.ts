// The mesh's authority for a benchmark, and one SVID of it as files, for all proxies and backends that are not Weft's.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Authority, toPem } from '#certs/authority.ts';
import { DEFAULT_TRUST_DOMAIN } from '#core/contract/names.ts';
import { BACKEND_ACCOUNT, NAMESPACE } from './mesh-objects.ts';
import type { Certificates } from './peers/peer.ts';

/** TLS 1.3 and P-256 everywhere, as between sidecars. */
export async function makeCertificates(directory: string): Promise<{ authority: Authority; certificates: Certificates }> {
  const authority = await Authority.create({ trustDomain: DEFAULT_TRUST_DOMAIN, now: Date.now });
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = await authority.issue(publicKey, NAMESPACE, BACKEND_ACCOUNT);
  const write = (name: string, text: string): string => {
    const file = path.join(directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const certificate = leaf.chain.map((der) => toPem('CERTIFICATE', der)).join('');
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const certificates = {
    certificate: write('leaf.pem', certificate),
    key: write('key.pem', key),
    bundle: write('bundle.pem', certificate + key),
    roots: write('roots.pem', authority.rootsPem()),
    identity: leaf.identity,
  };
  return { authority, certificates };
}
