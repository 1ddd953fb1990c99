// A resource that sidecars cannot use, let through by a defect of the control plane: it is refused alone, its last good
// version stays.
import { expect } from 'chai';
import type { Translation } from '#control-plane/translate/service.ts';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { grpcRoute, split } from '../support/routes.ts';
import { until } from '../support/until.ts';

const POISON = 'poison';
/** Look-ahead: RE2 has none. */
const NOT_RE2 = '(?=never)';

describe('a poisoned route', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({
      calls: ['echo', 'other'],
      services: { other: ['v1'] },
    });
    // translate() finds such a pattern itself; here it overlooks it in routes with a rule of this name.
    const catalogue = echo.mesh.controlPlane.publisher.catalogue as unknown as { translate: (key: string) => Translation };
    const translate = catalogue.translate;
    catalogue.translate = (key) => {
      const translation = translate(key);
      for (const { routes } of translation.service?.ports ?? []) {
        if (!routes?.rules.some(({ name }) => name === POISON)) continue;
        for (const match of routes.matches) match.service = { $typeName: 'weft.v1.StringMatch', kind: { case: 'regex', value: NOT_RE2 } };
      }
      return translation;
    };
  });
  after(() => echo.close());

  const routes = (pod: string, rest: object = {}) => [
    grpcRoute([split({ [pod]: 1 }, rest)]),
    grpcRoute([split({ [pod]: 1 })], { name: 'other', parent: 'other' }),
  ];

  it('is refused alone: its last good version serves, everything else is updated, nothing is sent again and again', async () => {
    const { mesh, caller } = echo;
    const other = echo.callerOf('caller', 'other');
    await echo.use(...routes('v1'));
    expect((await caller.unary()).answer?.pod).to.equal('v1');
    expect((await other.unary()).answer?.pod).to.equal('v1');

    await echo.use(...routes('v2', { name: POISON }));
    expect((await caller.unary()).answer?.pod, 'the last good one').to.equal('v1');
    expect((await other.unary()).answer?.pod, 'the other Service').to.equal('v2');
    const { rejected } = (await mesh.dump('caller')).stream;
    expect(Object.keys(rejected)).to.deep.equal(['service/shop/echo']);
    expect(rejected['service/shop/echo']).to.contain('GRPCRoute shop/echo rule 0').and.contain(NOT_RE2);
    expect(await mesh.metric('caller', 'weft_config_rejected_resources')).to.equal(1);

    const applied = () => mesh.controlPlane.publisher.appliedOn('service/shop/echo');
    await until(() => applied().rejected.length === 1, 'the control plane has heard of it');
    expect(applied()).to.deep.include({ want: 1, applied: 0 });
    expect(applied().rejected[0]).to.include({ pod: 'shop/caller' });
    expect(mesh.controlPlane.problems().join()).to.contain('shop/caller cannot use service/shop/echo');

    const { rejections } = mesh.controlPlane.publisher.counters;
    for (let i = 0; i < 5; i++) {
      mesh.setMembers('other', i % 2 === 0 ? ['v1', 'v2'] : ['v1']);
      await mesh.settled();
    }
    expect(mesh.controlPlane.publisher.counters.rejections, 'a refused version is not sent again').to.equal(rejections);
    expect((await other.unary()).answer?.pod).to.equal('v2');
  });

  it('is forgotten as soon as it is mended', async () => {
    const { mesh, caller } = echo;
    await echo.use(...routes('v2'));
    expect((await caller.unary()).answer?.pod).to.equal('v2');
    expect((await mesh.dump('caller')).stream.rejected).to.deep.equal({});
    expect(await mesh.metric('caller', 'weft_config_rejected_resources')).to.equal(0);
    await until(() => mesh.controlPlane.problems().length === 0, 'the control plane has heard of it');
  });
});
