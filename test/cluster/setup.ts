// Before and after all cluster tests: the cluster with Weft installed.

import { binary } from './binaries.ts';
import { CLUSTER_DIRECTORY } from './cluster.ts';
import { WEFT_IMAGE } from './image-list.ts';
import { installWeft } from './install.ts';
import { loadOwnImages } from './provision.ts';
import { openCluster } from './session.ts';

const say = (line: string) => process.stderr.write(`cluster: ${line}\n`);

/** Called by mocha. WEFT_TEST_IMAGE: the image that an external cluster has. */
export async function mochaGlobalSetup(): Promise<void> {
  const session = await openCluster();
  try {
    // A cluster that was up already has the images of the last `load`.
    if (!session.external) await loadOwnImages(CLUSTER_DIRECTORY, say);
    const startedAt = Date.now();
    const image = process.env.WEFT_TEST_IMAGE ?? WEFT_IMAGE;
    await installWeft({ kubectl: await binary('kubectl'), kubeconfig: session.kubeconfig, image });
    say(`Weft installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Called by mocha, also when tests failed. */
export async function mochaGlobalTeardown(): Promise<void> {
  await (await openCluster()).close();
}
