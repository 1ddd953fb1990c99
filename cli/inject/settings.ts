// The settings of injected sidecars: from the options of the command line, else those of the installation in the
// cluster.
import fs from 'node:fs/promises';
import { INJECTOR_NAME, SYSTEM_NAMESPACE, TRUST_CONFIG_MAP, TRUST_KEY } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import type { InjectionSettings } from '#injector/containers.ts';
import { readInjection } from '#injector/settings.ts';
import { rootsOf } from '#injector/trust-roots.ts';
import { KINDS, type KubeClient } from '#kube/api.ts';
import { deploymentKind } from '#objects/deployment.ts';
import { type DeploymentLike, environmentOf } from '../installation/environment.ts';

export interface SettingsOptions {
  readonly image?: string;
  /** A PEM file. */
  readonly trustRoots?: string;
}

const HOW = `give --image and --trust-roots FILE to do without a cluster; the roots are what
  kubectl -n ${SYSTEM_NAMESPACE} get configmap ${TRUST_CONFIG_MAP} -o 'jsonpath={.data.${TRUST_KEY.replace('.', '\\.')}}'
prints`;

/**
 * The settings that injection needs. The cluster is asked only for what the options do not give.
 * @throws Failure naming what is missing and how to give it
 */
export async function readInstallation(options: SettingsOptions, connect: () => Promise<KubeClient>): Promise<InjectionSettings> {
  let given = options.trustRoots === undefined ? '' : await readRoots(options.trustRoots);
  let environment: Record<string, string | undefined> = {};
  if (options.image === undefined || given === '') {
    try {
      const client = await connect();
      if (given === '') given = await clusterRoots(client);
      environment = await injectorEnvironment(client);
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure(`cannot read Weft's settings from the cluster: ${(error as Error).message}\n${HOW}`);
    }
  }
  if (options.image !== undefined) environment.WEFT_IMAGE = options.image;
  const read = readInjection(environment);
  if ('problems' in read) throw new Failure(read.problems.map((problem) => problem.replace(/^WEFT_IMAGE/, '--image')).join('\n'));
  return { ...read.injection, trustRoots: given };
}

async function readRoots(file: string): Promise<string> {
  let text: string;
  try {
    text = await fs.readFile(file, 'utf8');
  } catch (error) {
    throw new Failure(`--trust-roots: ${(error as Error).message}`);
  }
  const roots = rootsOf(text);
  if (roots === '') throw new Failure(`--trust-roots: ${file} holds no PEM certificate (-----BEGIN CERTIFICATE-----)`);
  return roots;
}

async function clusterRoots(client: KubeClient): Promise<string> {
  const path = { kind: KINDS.ConfigMap, namespace: SYSTEM_NAMESPACE, name: TRUST_CONFIG_MAP };
  const { data } = await client.request<{ data?: Record<string, string> }>('GET', path);
  const roots = rootsOf(data?.[TRUST_KEY]);
  if (roots === '') throw new Failure(`ConfigMap ${SYSTEM_NAMESPACE}/${TRUST_CONFIG_MAP} holds no certificate under ${TRUST_KEY}\n${HOW}`);
  return roots;
}

async function injectorEnvironment(client: KubeClient): Promise<Record<string, string | undefined>> {
  const path = { kind: deploymentKind, namespace: SYSTEM_NAMESPACE, name: INJECTOR_NAME };
  return environmentOf(await client.request<DeploymentLike>('GET', path));
}
