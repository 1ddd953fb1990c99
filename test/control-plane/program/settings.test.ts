// Arguments and environment of the control plane: defaults, and mistakes that are reported instead of passed over.
import { expect } from 'chai';
import { readControlPlaneSettings } from '#control-plane/program/settings.ts';

type Environment = Parameters<typeof readControlPlaneSettings>[1];

function settingsOf(args: readonly string[], environment: Environment) {
  const read = readControlPlaneSettings(args, environment);
  if ('problems' in read) throw new Error(read.problems.join('\n'));
  return read.settings;
}

function problemsOf(args: readonly string[], environment: Environment): readonly string[] {
  const read = readControlPlaneSettings(args, environment);
  return 'problems' in read ? read.problems : [];
}

describe('control-plane/program: settings', () => {
  it('has a default for everything', () => {
    const settings = settingsOf([], {});
    expect(settings).to.deep.equal({
      dir: undefined,
      secrets: undefined,
      host: undefined,
      port: 15012,
      viewPort: 15014,
      trustDomain: 'cluster.local',
      kubeconfig: undefined,
      podNamespace: 'weft-system',
      podName: undefined,
      meshName: 'weft',
      leafLifetimeMs: undefined,
      clusterTrustBundle: '',
      strictReferenceGrants: false,
      defaultTraceSampling: 0.01,
      logLevel: 'info',
      logFormat: 'json',
    });
    const empty = { WEFT_HOST: '', WEFT_TRUST_DOMAIN: '', WEFT_LEAF_SECONDS: '', WEFT_LOG_LEVEL: '', WEFT_LOG_FORMAT: '' };
    expect(settingsOf([], empty)).to.deep.equal(settings);
  });

  it('arguments win over the environment', () => {
    const environment = {
      WEFT_HOST: '::1',
      WEFT_TRUST_DOMAIN: 'a.test',
      WEFT_LEAF_SECONDS: '60',
      WEFT_CLUSTER_TRUST_BUNDLE: 'roots',
      WEFT_STRICT_REFERENCE_GRANTS: 'true',
      WEFT_TRACING_SAMPLING: '5%',
      WEFT_LOG_LEVEL: 'off',
      WEFT_LOG_FORMAT: 'text',
    };
    expect(settingsOf(['--host', '127.0.0.1', '--port', '0', '--dir', 'd', '--secrets', 's'], environment)).to.include({
      dir: 'd',
      secrets: 's',
      host: '127.0.0.1',
      port: 0,
      trustDomain: 'a.test',
      leafLifetimeMs: 60_000,
      clusterTrustBundle: 'roots',
      strictReferenceGrants: true,
      defaultTraceSampling: 0.05,
      logLevel: 'off',
      logFormat: 'text',
    });
  });

  const MISTAKES: readonly [string, readonly string[], Record<string, string>, RegExp][] = [
    ['an unknown argument', ['--directory', 'x'], {}, /--directory/],
    ['a port that is none', ['--port', '70000'], {}, /a port is a number/],
    ['secrets in a cluster', ['--secrets', 'x'], {}, /--secrets needs --dir/],
    ['a trust domain that is none', ['--trust-domain', 'Corp/x'], {}, /not a trust domain.*"Corp\/x"/],
    ['the same in the environment', [], { WEFT_TRUST_DOMAIN: 'a b' }, /not a trust domain.*"a b"/],
    ['a life too short', [], { WEFT_LEAF_SECONDS: '59' }, /from 60 to 604800, not "59"/],
    ['a switch that is neither on nor off', [], { WEFT_STRICT_REFERENCE_GRANTS: 'yes' }, /true or false, not "yes"/],
    ['a share that is none', [], { WEFT_TRACING_SAMPLING: '5' }, /^WEFT_TRACING_SAMPLING: "5": .*did you mean 5%\?$/],
    ['a level that is none', [], { WEFT_LOG_LEVEL: 'wran' }, /WEFT_LOG_LEVEL has no level "wran", did you mean "warn"\?/],
    ['a format that is none', [], { WEFT_LOG_FORMAT: 'yaml' }, /json or text, not "yaml"/],
  ];
  for (const [what, args, environment, message] of MISTAKES) {
    it(`reports ${what}`, () => {
      const problems = problemsOf(args, environment);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.be.a('string').that.matches(message);
    });
  }

  it('names all mistakes at once', () => {
    const environment = { WEFT_LEAF_SECONDS: '1', WEFT_LOG_FORMAT: 'yaml' };
    const problems = problemsOf(['--port', 'x', '--secrets', 's'], environment);
    expect(problems.map((problem) => problem.split(' ')[0])).to.deep.equal(['a', '--secrets', 'WEFT_LEAF_SECONDS', 'WEFT_LOG_FORMAT']);
    expect(problemsOf(['--nothing'], { WEFT_LOG_LEVEL: 'loud' })).to.have.length(2);
  });

  it('takes the pod, the mesh and the kubeconfig from the environment', () => {
    const environment = { WEFT_POD_NAME: 'weft-1', WEFT_POD_NAMESPACE: 'mesh', WEFT_MESH_NAME: 'east', KUBECONFIG: '/k' };
    expect(settingsOf([], environment)).to.include({ podName: 'weft-1', podNamespace: 'mesh', meshName: 'east', kubeconfig: '/k' });
  });
});
