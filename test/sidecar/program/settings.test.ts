// The sidecar's environment: defaults that change nothing for a mesh without pods, what injection sets, and all
// mistakes at once.
import { expect } from 'chai';
import { readSidecarSettings } from '#sidecar/program/settings.ts';

const LEAST = {
  WEFT_CONTROL_PLANE: 'weft-control-plane.weft-system.svc:15012',
  WEFT_TOKEN_FILE: '/token',
  WEFT_TRUST_BUNDLE_FILE: '/roots.pem',
  WEFT_POD_NAMESPACE: 'shop',
  WEFT_POD_NAME: 'checkout-0',
};

function settingsOf(env: Record<string, string>) {
  const read = readSidecarSettings({ ...LEAST, ...env });
  if ('problems' in read) throw new Error(read.problems.join('; '));
  return read.settings;
}

function problemsOf(env: Record<string, string>): string[] {
  const read = readSidecarSettings(env);
  return 'problems' in read ? read.problems : [];
}

describe('sidecar settings', () => {
  it('without capture are as they were', () => {
    const settings = settingsOf({});
    expect(settings).to.deep.include({ capture: 'disabled', podIps: [], opaquePorts: [], trustRoots: '' });
    expect(settings.probes.size).to.equal(0);
    expect(settings.admin).to.deep.equal({ host: '127.0.0.1', port: 15020 });
  });

  it('are what injection sets', () => {
    const settings = settingsOf({
      WEFT_ADMIN_ADDRESS: '[::]:15020',
      WEFT_CAPTURE: 'enabled',
      WEFT_POD_IPS: '10.244.0.5,fd00::5',
      WEFT_OPAQUE_PORTS: '25,3306,9000-9010',
      WEFT_TRUST_ROOTS: 'PEM',
      WEFT_PROBES: '{"app/readiness":{"timeoutMs":1000,"tcp":{"port":80}}}',
    });
    expect(settings.admin).to.deep.equal({ host: '::', port: 15020 });
    expect(settings).to.deep.include({ capture: 'enabled', podIps: ['10.244.0.5', 'fd00::5'], trustRoots: 'PEM' });
    expect(settings.opaquePorts).to.deep.equal([
      { from: 25, to: 25 },
      { from: 3306, to: 3306 },
      { from: 9000, to: 9010 },
    ]);
    expect(settings.probes.get('app/readiness')).to.deep.equal({ timeoutMs: 1000, tcp: { port: 80 } });
  });

  it('capture needs the addresses of the pod', () => {
    expect(problemsOf({ ...LEAST, WEFT_CAPTURE: 'enabled' })).to.deep.equal([
      "WEFT_POD_IPS is not set: the pod's addresses, which WEFT_CAPTURE=enabled needs",
    ]);
  });

  it('the access log is off unless it is asked for', () => {
    expect([
      settingsOf({}).accessLog,
      settingsOf({ WEFT_ACCESS_LOG: '' }).accessLog,
      settingsOf({ WEFT_ACCESS_LOG: 'off' }).accessLog,
    ]).to.deep.equal([null, null, null]);
    expect(settingsOf({ WEFT_ACCESS_LOG: 'errors,duration>=1s' }).accessLog).to.include({ text: 'errors,duration>=1s' });
    expect(problemsOf({ ...LEAST, WEFT_ACCESS_LOG: 'erors' })).to.deep.equal([
      'WEFT_ACCESS_LOG: "erors" is neither off, errors, all nor a condition, did you mean "errors"?',
    ]);
  });

  it('report all mistakes together', () => {
    const problems = problemsOf({
      WEFT_CAPTURE: 'on',
      WEFT_POD_IPS: '10.244.0.5,checkout',
      WEFT_OPAQUE_PORTS: '80-',
      WEFT_PROBES: '{',
      WEFT_LOG_LEVEL: 'loud',
    });
    for (const name of [
      ...Object.keys(LEAST),
      'WEFT_CAPTURE',
      'WEFT_POD_IPS: "checkout',
      'WEFT_OPAQUE_PORTS',
      'WEFT_PROBES',
      'WEFT_LOG_LEVEL',
    ])
      expect(
        problems.filter((problem) => new RegExp(`^${name}\\b`).test(problem)),
        name,
      ).to.have.length(1);
  });
});
