// The Gateway API's conformance suite: both mesh profiles pass whole, several times in a row without reinstalling.
import { expect } from 'chai';
import { dropAll, outputOf, prepareNamespaces, runSuite, type Verdict } from '../support/conformance.ts';
import { scene } from '../support/scene.ts';

const ROUNDS = Number(process.env.WEFT_CONFORMANCE_ROUNDS ?? 3);
const PROFILES = ['MESH-GRPC', 'MESH-HTTP'] as const;
const ROUND_MS = 15 * 60_000;

/** All mesh tests of the suite 1.6: a new one is an error until it stands here. */
const MESH_TESTS = [
  'MeshBasic',
  'MeshConsumerRoute',
  'MeshFrontend',
  'MeshFrontendHostname',
  'MeshGRPCRouteWeight',
  'MeshHTTPRoute303Redirect',
  'MeshHTTPRoute307Redirect',
  'MeshHTTPRoute308Redirect',
  'MeshHTTPRouteBackendRequestHeaderModifier',
  'MeshHTTPRouteMatching',
  'MeshHTTPRouteNamedRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectHostAndStatus',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRequestHeaderModifier',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
  'MeshHTTPRouteSimpleSameNamespace',
  'MeshHTTPRouteWeight',
  'MeshPorts',
  'MeshTrafficSplit',
];

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
    describe(`round ${round} of ${ROUNDS}`, () => {
      let verdict: Verdict;

      before(async function () {
        this.timeout(ROUND_MS);
        verdict = await runSuite(stage.objects, { profiles: PROFILES, name: `mesh-${round}` });
      });

      for (const test of MESH_TESTS) {
        it(test, () => {
          expect(verdict.tests.get(test), outputOf(verdict, test)).to.equal('pass');
        });
      }

      it('has no mesh test that is not asked for here', () => {
        expect([...verdict.tests.keys()].filter((name) => name.startsWith('Mesh')).sort()).to.deep.equal(MESH_TESTS);
      });

      it('is conformant by its own report, in all that is claimed', () => {
        expect(verdict.report.profiles.map(({ name }) => name).sort()).to.deep.equal(PROFILES);
        for (const { core, extended } of verdict.report.profiles) {
          for (const part of extended === undefined ? [core] : [core, extended]) {
            expect(part.result).to.equal('success');
            expect(part.statistics).to.include({ Failed: 0, Skipped: 0 });
          }
        }
      });
    });
  }
});
