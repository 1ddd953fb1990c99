// docs/guides, word for word: each console block of each page runs on the cluster in the page's order, and prints what
// the page shows. A page that takes Weft away is the reason why this comes last.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ANNOTATION_STATUS, LABEL_INJECT } from '#core/contract/names.ts';
import { pageOf } from '../../support/guide-page.ts';
import { binary } from '../binaries.ts';
import { jaegerImage, prometheusImage, weftImage } from '../image-list.ts';
import { openCluster } from '../session.ts';
import { GuideRun } from '../support/guide-run.ts';
import { install, weft } from '../support/install.ts';
import type { Objects, PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const GUIDES = path.join(ROOT, 'docs', 'guides');
const SHOP_NAMESPACE = 'shop';
const SHOP_DEPLOYMENTS = ['checkout', 'payment-v1', 'payment-v2'];
const SHOP = path.join(ROOT, 'examples', 'shop');
/** Of the pages, with the pods in `default`: what an earlier run left goes first. */
const OWN = [SHOP_NAMESPACE, 'shop-two', 'weft-observability'];
/** The name under which the guides push Weft's image. */
const PUSHED_IMAGE = 'registry.example/weft:0.1.0';

describe('The guides', () => {
  const stage = scene({});

  before(async function () {
    // The first time Jaeger and Prometheus are built.
    this.timeout(1_200_000);
    const session = await openCluster();
    // The pages use images and commands of this repository's own cluster.
    if (session.external) this.skip();
    await session.loadImage({ ...(await weftImage()), names: [PUSHED_IMAGE] });
    for (const image of [await jaegerImage(), await prometheusImage()]) await session.loadImage(image);
    await stage.objects.must(['delete', 'namespace', ...OWN, '--ignore-not-found', '--timeout=120s']);
    await stage.objects.must(['delete', 'pods', '--all', '-n', 'default', '--timeout=120s']);
  });

  after(async function () {
    this.timeout(300_000);
    if ((await openCluster()).external) return;
    await stage.objects.dropNamespaces(...OWN);
    await install(stage.objects);
  });

  for (const name of readdirSync(GUIDES).filter((file) => file.endsWith('.md'))) {
    const page = pageOf(readFileSync(path.join(GUIDES, name), 'utf8'));

    describe(name, () => {
      let run: GuideRun;
      let isFalse = false;

      before(async function () {
        this.timeout(300_000);
        if (page.blocks.every(({ notRun }) => notRun !== undefined)) return;
        await setStage(stage.objects);
        const { kubeconfig, kubectlPath: kubectl } = stage.objects;
        run = new GuideRun(page, { kubeconfig, kubectl, helm: await binary('helm') });
      });

      after(() => run?.close());

      for (const block of page.blocks) {
        const title = `line ${block.line}: ${block.steps[0].command.split('\n')[0]}`;
        if (block.notRun !== undefined) it(`${title} (not run: ${block.notRun})`);
        else
          it(title, async function () {
            this.timeout(600_000);
            // What follows a block that failed begins elsewhere than the page says.
            if (isFalse) this.skip();
            isFalse = true;
            if (block.beginsWithoutWeft) await takeAway(stage.objects);
            await run.block(block);
            isFalse = false;
          });
      }
    });
  }
});

/** What every page begins with: Weft with its defaults, and the shop with sidecars. */
async function setStage(objects: Objects): Promise<void> {
  await install(objects);
  await objects.must(['apply', '-f', SHOP]);
  const pods = await objects.list<PodItem>('pods', SHOP_NAMESPACE);
  if (pods.some(({ metadata }) => metadata.annotations?.[ANNOTATION_STATUS] === undefined))
    await objects.must(['rollout', 'restart', 'deployment', '-n', SHOP_NAMESPACE]);
  await objects.rolledOut(SHOP_NAMESPACE, ...SHOP_DEPLOYMENTS);
}

/** As people do it: the sidecars first, because a new installation has another authority. */
async function takeAway(objects: Objects): Promise<void> {
  await objects.must(['label', 'namespace', SHOP_NAMESPACE, `${LABEL_INJECT}-`]);
  await objects.must(['rollout', 'restart', 'deployment', '-n', SHOP_NAMESPACE]);
  await objects.rolledOut(SHOP_NAMESPACE, ...SHOP_DEPLOYMENTS);
  const { stdout } = await weft(objects, ['uninstall', '--force']);
  await objects.must(['delete', '--ignore-not-found', '--timeout=120s', '-f', '-'], stdout);
}
