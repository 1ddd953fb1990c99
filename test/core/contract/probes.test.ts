// WEFT_PROBES: what injection writes is understood, and every mistake in it is reported.
import { expect } from 'chai';
import { parseProbes } from '#core/contract/probes.ts';

describe('probe targets', () => {
  it('are read with their defaults', () => {
    const { targets, problems } = parseProbes(
      JSON.stringify({
        'app/readiness': {
          timeoutMs: 3000,
          http: { port: 8080, path: '/healthz?full', scheme: 'HTTPS', headers: [{ name: 'X-Probe', value: '1' }, { name: 'Accept' }] },
        },
        'app/liveness': { tcp: { port: 6379 } },
        'app/startup': { timeoutMs: 1000, grpc: { port: 9000 } },
        'web/startup': { timeoutMs: 1000, http: { port: 80 } },
      }),
    );
    expect(problems).to.deep.equal([]);
    expect([...targets]).to.deep.equal([
      [
        'app/readiness',
        {
          timeoutMs: 3000,
          http: {
            port: 8080,
            path: '/healthz?full',
            scheme: 'HTTPS',
            headers: [
              { name: 'X-Probe', value: '1' },
              { name: 'Accept', value: '' },
            ],
          },
        },
      ],
      ['app/liveness', { timeoutMs: 1000, tcp: { port: 6379 } }],
      ['app/startup', { timeoutMs: 1000, grpc: { port: 9000, service: '' } }],
      ['web/startup', { timeoutMs: 1000, http: { port: 80, path: '/', scheme: 'HTTP' } }],
    ]);
  });

  it('may be none', () => {
    for (const text of ['', ' ', '{}']) expect(parseProbes(text)).to.deep.equal({ targets: new Map(), problems: [] });
  });

  it('tell what is no JSON or no object', () => {
    expect(parseProbes('{').problems).to.have.length(1);
    expect(parseProbes('{').problems[0]).to.contain('WEFT_PROBES is not JSON');
    for (const text of ['[]', 'null', '"x"', '1']) expect(parseProbes(text).problems, text).to.have.length(1);
  });

  it('tell all mistakes and keep the good ones', () => {
    const { targets, problems } = parseProbes(
      JSON.stringify({
        'app/readiness': { timeoutMs: 1000, tcp: { port: 80 } },
        'app/readyness': { tcp: { port: 80 } },
        app: { tcp: { port: 80 } },
        'a/liveness': 7,
        'b/liveness': { tpc: { port: 80 } },
        'c/liveness': { tcp: { port: 80 }, http: { port: 80 } },
        'd/liveness': { timeoutMs: 0, http: { port: '80', scheme: 'FTP', headers: [{ value: 'x' }], path: 3 } },
        'e/liveness': { grpc: [] },
      }),
    );
    expect([...targets.keys()]).to.deep.equal(['app/readiness']);
    expect(problems).to.deep.equal([
      'WEFT_PROBES: "app/readyness": "readyness" is none of startup, readiness, liveness, postStart, preStop, did you mean "readiness"?',
      'WEFT_PROBES: "app": the key must be "<container>/<kind>"',
      'WEFT_PROBES: "a/liveness": the probe must be an object',
      'WEFT_PROBES: "b/liveness": exactly one of http, tcp, grpc must be there, not none; "tpc" is none of them, did you mean "tcp"?',
      'WEFT_PROBES: "c/liveness": exactly one of http, tcp, grpc must be there, not http and tcp',
      'WEFT_PROBES: "d/liveness": timeoutMs must be a number above 0 and at most 600000, not 0',
      'WEFT_PROBES: "d/liveness": http.port must be a port number, not "80"',
      'WEFT_PROBES: "d/liveness": http.path must be text, not 3',
      'WEFT_PROBES: "d/liveness": http.scheme must be HTTP or HTTPS, not "FTP"',
      'WEFT_PROBES: "d/liveness": http.headers[0] must have a name and a value',
      'WEFT_PROBES: "e/liveness": grpc must be an object',
    ]);
  });
});
