// What is said before anything starts, and how processes are launched.
import { expect } from 'chai';
import { Failure } from '#core/program/failure.ts';
import { containerLaunch, sidecarLaunch, sidecarProgram } from '#local/launch.ts';
import { claimPrefix } from '#local/network.ts';
import { planMesh } from '#local/plan/plan.ts';
import { missingPrograms, problemTexts, takenPorts } from '#local/preflight.ts';
import { deployment, service, settings } from './plan/shop.ts';

describe('run: preflight', () => {
  it('names a command that does not exist with its manifest, once per Deployment', () => {
    const { pods } = planMesh([deployment('a', { app: 'a' }, { command: ['no-such-program'] }, 3)], { ...settings, directory: '/' });
    const inRoot = pods.map((pod) => ({ ...pod, containers: pod.containers.map((container) => ({ ...container, directory: '/' })) }));
    expect(problemTexts(missingPrograms(inRoot, { PATH: '/bin' }), '/')).to.deep.equal([
      'Deployment shop/a, container main: there is no command no-such-program on the PATH (manifests/all.yaml)',
    ]);
  });

  it('names who holds a port that a pod or a Service needs', () => {
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

describe('run: network', () => {
  it('takes the first network that no other run has, also when it loses the race', async () => {
    const busy = new Set(['127.77.0.1']);
    const claims: string[] = [];
    const { prefix } = await claimPrefix(
      async (candidate) => {
        claims.push(candidate);
        if (candidate === '127.78') throw Object.assign(new Error('listen'), { code: 'EADDRINUSE' });
      },
      async (host) => (busy.has(host) ? 'EADDRINUSE' : null),
      (candidate) => candidate === '127.79',
    );
    expect(claims).to.deep.equal(['127.78', '127.80']);
    expect(prefix).to.equal('127.80');
  });

  it('says what to do where there is only 127.0.0.1, and gives up on other errors', async () => {
    const outcome = (code: string) =>
      claimPrefix(
        async () => {},
        async () => code,
      ).catch((error: unknown) => error);
    expect(await outcome('EADDRNOTAVAIL'))
      .to.be.instanceOf(Failure)
      .with.property('message')
      .that.includes('ifconfig lo0 alias 127.77.');
    expect(await outcome('EACCES'))
      .to.be.instanceOf(Failure)
      .with.property('message')
      .that.includes('EACCES');
    expect(await outcome('EADDRINUSE')).to.be.instanceOf(Failure);
    const defect = await claimPrefix(
      async () => {
        throw new Error('a defect');
      },
      async () => null,
      () => false,
    ).catch((error: unknown) => error);
    expect(defect).to.have.property('message', 'a defect');
  });
});

describe('run: launch', () => {
  const [pod] = planMesh([deployment('a', { app: 'a' }, { env: [{ name: 'MINE', value: '1' }] })], settings).pods;

  it('gives containers the user’s environment without ours and npm’s, and this Node first', () => {
    const launch = containerLaunch(pod.containers[0], {
      PATH: '/bin',
      HOME: '/home/me',
      WEFT_X: '1',
      npm_config_y: '2',
      NODE_OPTIONS: '-r z',
      no_proxy: 'intranet',
    });
    expect(launch).to.include({ command: 'node', directory: '/manifests' });
    expect(launch.env.PATH).to.match(/node.*:\/bin$/);
    expect(launch.env).to.include({ HOME: '/home/me', MINE: '1', POD_IP: '127.77.1.2', no_proxy: 'intranet,localhost,127.0.0.0/8' });
    expect(launch.env).to.not.have.any.keys('WEFT_X', 'npm_config_y', 'NODE_OPTIONS');
  });

  it('tells the sidecar who and where it is', () => {
    const launch = sidecarLaunch(
      pod,
      {
        program: '/dist/sidecar.mjs',
        controlPlane: '127.77.0.1:15012',
        trustDomain: 'td',
        trustBundleFile: '/r',
        tokenFile: '/t',
        otlp: null,
        logLevel: 'warn',
      },
      {},
    );
    expect(launch.args.at(-1)).to.equal('/dist/sidecar.mjs');
    expect(Object.keys(launch.env).join()).to.not.include('OTEL');
    expect(launch.env).to.include({ WEFT_POD_NAME: pod.name, WEFT_ADMIN_ADDRESS: '127.77.1.1:15020', WEFT_TOKEN_FILE: '/t' });
    expect(sidecarProgram('file:///x/dist/weft.mjs')).to.equal('/x/dist/sidecar.mjs');
    expect(sidecarProgram('file:///x/cli/run/command.ts')).to.equal('/x/sidecar/main.ts');
  });
});
