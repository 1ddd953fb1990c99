// What is reported before anything starts.
import { expect } from 'chai';
import { missingPrograms, problemTexts, takenPorts } from '#local/mesh/preflight.ts';
import { planMesh } from '#local/plan/plan.ts';
import { deployment, service, settings } from '../plan/shop.ts';

describe('local/mesh: preflight', () => {
  it('names a command that does not exist with its manifest, once per Deployment', () => {
    const { pods } = planMesh([deployment('a', { app: 'a' }, { command: ['no-such-program'] }, 3)], { ...settings, directory: '/' });
    const inRoot = pods.map((pod) => ({ ...pod, containers: pod.containers.map((container) => ({ ...container, directory: '/' })) }));
    expect(problemTexts(missingPrograms(inRoot, { PATH: '/bin' }), '/')).to.deep.equal([
      'Deployment shop/a, container main: there is no command no-such-program on the PATH (manifests/all.yaml)',
    ]);
  });

  it('names the process that holds a port that a pod or a Service needs', () => {
    const plan = planMesh([deployment('a', { app: 'a' }), service('s', undefined)], settings);
    const held = [
      { address: '0.0.0.0', port: 8080, inode: '1' },
      { address: '127.0.0.1', port: 9000, inode: '2' },
    ];
    expect(takenPorts(plan, held, () => 'process 7 (nginx)').map(({ text }) => text)).to.deep.equal([
      'Deployment shop/a needs port 8080, which is taken on all addresses by process 7 (nginx)',
    ]);
    expect(takenPorts(plan, [{ address: '::', port: 9000, inode: '' }], () => 'process 8')[0].text).to.equal(
      'Service shop/s needs port 9000, which is taken on all addresses by process 8',
    );
  });
});
