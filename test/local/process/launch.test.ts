// How the processes of a pod are started.
import { expect } from 'chai';
import { DEFAULT_OPAQUE_PORTS } from '#core/contract/port-ranges.ts';
import { planMesh } from '#local/plan/plan.ts';
import { containerLaunch, sidecarLaunch, sidecarProgram } from '#local/process/launch.ts';
import { deployment, settings } from '../plan/shop.ts';

describe('local/process: launch', () => {
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

  it('gives the sidecar its identity and its addresses', () => {
    const sidecar = {
      program: '/dist/sidecar.mjs',
      controlPlane: '127.77.0.1:15012',
      trustDomain: 'td',
      trustBundleFile: '/r',
      tokenFile: '/t',
      otlp: null,
      logLevel: 'warn',
    };
    const launch = sidecarLaunch(pod, sidecar, {});
    expect(launch.args.at(-1)).to.equal('/dist/sidecar.mjs');
    expect(launch.env).to.include({ WEFT_OPAQUE_PORTS: DEFAULT_OPAQUE_PORTS, WEFT_LOG_LEVEL: 'warn', WEFT_DRAIN_SECONDS: '3' });
    const options = { ...pod.options, opaquePorts: '1-9', logLevel: 'debug', drainSeconds: 60 };
    const annotated = sidecarLaunch({ ...pod, options }, sidecar, {});
    expect(annotated.env).to.include({ WEFT_OPAQUE_PORTS: '1-9', WEFT_LOG_LEVEL: 'debug', WEFT_DRAIN_SECONDS: '60' });
    expect(Object.keys(launch.env).join()).to.not.include('OTEL');
    expect(launch.env).to.include({ WEFT_POD_NAME: pod.name, WEFT_ADMIN_ADDRESS: '127.77.1.1:15020', WEFT_TOKEN_FILE: '/t' });
    expect(sidecarProgram('file:///x/dist/weft.mjs')).to.equal('/x/dist/sidecar.mjs');
    expect(sidecarProgram('file:///x/cli/run/command.ts')).to.equal('/x/sidecar/main.ts');
  });
});
