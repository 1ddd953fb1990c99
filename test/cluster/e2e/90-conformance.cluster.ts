// The Gateway API's conformance suite: MESH-GRPC passes, several times in a row without reinstalling; MESH-HTTP is run
// and counted.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'chai';
import { dropAll, MESH_HTTP_FEATURES, outputOf, prepareNamespaces, REPORTS, runSuite, type Verdict } from '../support/conformance.ts';
import { scene } from '../support/scene.ts';

const ROUNDS = Number(process.env.WEFT_CONFORMANCE_ROUNDS ?? 3);
const MESH_GRPC_TESTS = ['MeshBasic', 'MeshGRPCRouteWeight'];
const ROUND_MS = 15 * 60_000;
/**
 * HTTPRoute is not served, so waiting the full 30 s for each of its cases would only take half an hour to tell the
 * same.
 */
const HTTP_CONSISTENCY_SECONDS = 1;

describe('The Gateway API conformance suite', () => {
  const stage = scene({});

  before(async function () {
    this.timeout(ROUND_MS);
    await prepareNamespaces(stage.objects);
  });

  after(async () => {
    if (process.env.WEFT_KEEP_NAMESPACES !== '1') await dropAll(stage.objects);
  });

  for (let round = 1; round <= ROUNDS; round++) {
    describe(`MESH-GRPC, round ${round} of ${ROUNDS}`, () => {
      let verdict: Verdict;

      before(async function () {
        this.timeout(ROUND_MS);
        verdict = await runSuite(stage.objects, { profile: 'MESH-GRPC', name: `mesh-grpc-${round}` });
      });

      for (const test of MESH_GRPC_TESTS) {
        it(test, () => {
          expect(verdict.tests.get(test), outputOf(verdict, test)).to.equal('pass');
        });
      }

      it('is conformant by its own report', () => {
        const profile = verdict.report.profiles.find(({ name }) => name === 'MESH-GRPC')!;
        expect(profile.core.result).to.equal('success');
        expect(profile.core.statistics).to.deep.equal({ Passed: MESH_GRPC_TESTS.length, Failed: 0, Skipped: 0 });
      });
    });
  }

  describe('MESH-HTTP', () => {
    it('runs; how many of its tests pass is counted, not asked', async function () {
      this.timeout(2 * ROUND_MS);
      const { tests } = await runSuite(stage.objects, {
        profile: 'MESH-HTTP',
        name: 'mesh-http',
        features: MESH_HTTP_FEATURES,
        consistencySeconds: HTTP_CONSISTENCY_SECONDS,
      });
      const run = [...tests].filter(([, result]) => result !== 'skip');
      const passed = run.filter(([, result]) => result === 'pass').map(([name]) => name);
      const summary = `MESH-HTTP: ${passed.length} of ${run.length} tests pass (HTTPRoute is not served yet): ${passed.join(', ')}\n`;
      await writeFile(path.join(REPORTS, 'mesh-http.txt'), summary);
      process.stdout.write(`      ${summary}`);
      expect(run.length).to.be.greaterThan(0);
      expect(passed, 'traffic without routes').to.include('MeshBasic');
    });
  });
});
