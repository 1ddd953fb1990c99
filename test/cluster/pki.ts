// The test cluster's certificates and kubeconfigs: ECDSA, valid for a month, kept in the cluster's own directory.
import 'reflect-metadata';
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import * as x509 from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3600_000;
const LIFETIME_MS = 30 * DAY_MS;

export interface Pem {
  readonly certificate: string;
  /** PKCS#8. */
  readonly key: string;
}

export interface Wish {
  /** Distinguished name, such as `CN=admin, O=system:masters`. */
  readonly subject: string;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
}

export interface Issuer {
  readonly certificate: string;
  readonly key: string;
  issue(wish: Wish): Promise<Pem>;
}

async function newKey(): Promise<{ pair: webcrypto.CryptoKeyPair; pem: string }> {
  const pair = (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey));
  return { pair, pem: x509.PemConverter.encode(der, 'PRIVATE KEY') };
}

function validity(): { serialNumber: string; notBefore: Date; notAfter: Date } {
  // A leading 01 keeps the number positive and of full length.
  const serialNumber = `01${randomBytes(15).toString('hex')}`;
  return { serialNumber, notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + LIFETIME_MS) };
}

/** A new certificate authority. */
export async function createIssuer(): Promise<Issuer> {
  x509.cryptoProvider.set(webcrypto);
  const { pair, pem } = await newKey();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=weft-test-cluster',
    ...validity(),
    keys: pair,
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature, true),
    ],
  });
  return {
    certificate: root.toString('pem'),
    key: pem,
    async issue({ subject, dns = [], ips = [] }) {
      const own = await newKey();
      const names = [...dns.map((value) => ({ type: 'dns' as const, value })), ...ips.map((value) => ({ type: 'ip' as const, value }))];
      const leaf = await x509.X509CertificateGenerator.create({
        subject,
        issuer: root.subject,
        ...validity(),
        publicKey: own.pair.publicKey,
        signingKey: pair.privateKey,
        signingAlgorithm: P256,
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        ],
      });
      return { certificate: leaf.toString('pem'), key: own.pem };
    },
  };
}

/** Kubeconfig text with everything in it. JSON is YAML. */
export function kubeconfig(server: string, authority: string, user: Pem): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'weft-test', cluster: { server, 'certificate-authority-data': base64(authority) } }],
    users: [{ name: 'user', user: { 'client-certificate-data': base64(user.certificate), 'client-key-data': base64(user.key) } }],
    contexts: [{ name: 'weft-test', context: { cluster: 'weft-test', user: 'user' } }],
    'current-context': 'weft-test',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * Writes what Kubernetes' programs read, into `directory`: ca, server, admin and node as .crt and .key, sa.key and
 * sa.pub,
 * and `<kubeconfigFile>` (admin) and node.conf.
 */
export async function writePki(settings: {
  readonly directory: string;
  readonly nodeName: string;
  readonly nodeAddress: string;
  readonly serviceAddress: string;
  readonly adminKubeconfig: string;
  readonly nodeKubeconfig: string;
}): Promise<void> {
  const { directory, nodeName, nodeAddress, serviceAddress } = settings;
  const write = (file: string, text: string) => writeFileSync(path.join(directory, file), text, { mode: 0o600 });
  const issuer = await createIssuer();
  write('ca.crt', issuer.certificate);
  write('ca.key', issuer.key);
  const [server, admin, node, accounts] = await Promise.all([
    issuer.issue({
      subject: 'CN=kube-apiserver',
      dns: ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'],
      ips: ['127.0.0.1', serviceAddress, nodeAddress],
    }),
    issuer.issue({ subject: 'CN=admin, O=system:masters' }),
    issuer.issue({ subject: `CN=system:node:${nodeName}, O=system:nodes`, dns: [nodeName], ips: [nodeAddress] }),
    newKey(),
  ]);
  for (const [name, pem] of Object.entries({ server, admin, node })) {
    write(`${name}.crt`, pem.certificate);
    write(`${name}.key`, pem.key);
  }
  write('sa.key', accounts.pem);
  write('sa.pub', createPublicKey(accounts.pem).export({ type: 'spki', format: 'pem' }) as string);
  const url = `https://${nodeAddress}:6443`;
  writeFileSync(settings.adminKubeconfig, kubeconfig(url, issuer.certificate, admin), { mode: 0o600 });
  writeFileSync(settings.nodeKubeconfig, kubeconfig(url, issuer.certificate, node), { mode: 0o600 });
}
