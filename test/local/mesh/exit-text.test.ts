// What is said of processes that end unasked.
import { expect } from 'chai';
import { complainsOfPort, exitText, hopelessText, portClash, wantedPorts } from '#local/mesh/exit-text.ts';
import { planMesh } from '#local/plan/plan.ts';
import type { Exit } from '#local/process/supervised.ts';
import { deployment, settings } from '../plan/shop.ts';

const exit = (more: Partial<Exit>): Exit => ({
  code: 1,
  signal: null,
  error: null,
  uptimeMs: 120,
  shortRuns: 1,
  restartInMs: 200,
  lastErrors: [],
  ...more,
});

describe('local/mesh: the text of an exit', () => {
  const [pod] = planMesh([deployment('a', { app: 'a' })], settings).pods;

  it('says how a process ended and when it starts again', () => {
    expect(exitText('a-1', 'main', exit({}))).to.equal('a-1 main exited with code 1 after 0.1 s, starts again in 0.2 s');
    expect(exitText('a-1', 'sidecar', exit({ code: null, signal: 'SIGKILL' }))).to.include('a-1 sidecar was ended by SIGKILL');
    expect(exitText('a-1', 'main', exit({ code: null, error: 'spawn x ENOENT' }))).to.include('could not be started (spawn x ENOENT)');
  });

  it('makes a standing problem of a process that ends at once again and again, with its last errors', () => {
    expect(hopelessText('a-1', 'main', exit({ shortRuns: 2 }), null)).to.equal(null);
    expect(hopelessText('a-1', 'main', exit({ shortRuns: 3, lastErrors: ['1', '2', '3', '4'] }), null)).to.equal(
      'a-1 main ended at once 3 times: its last words: 2 / 3 / 4',
    );
    expect(hopelessText('a-1', 'main', exit({ shortRuns: 3 }), null)).to.include('it wrote nothing');
    expect(hopelessText('a-1', 'main', exit({}), 'port 1 is taken')).to.equal('a-1 main cannot run: port 1 is taken');
  });

  it('knows a complaint of a port in several languages', () => {
    for (const line of [
      'Error: listen EADDRINUSE: address already in use 0.0.0.0:8080',
      'listen tcp :8080: bind: address already in use',
      'OSError: [Errno 98] Address already in use',
      'No address added out of total 1 resolved',
      'Caused by: java.net.BindException: Address already in use',
    ])
      expect(complainsOfPort([line]), line).to.equal(true);
    expect(complainsOfPort(['connection refused'])).to.equal(false);
    expect(wantedPorts(pod, ['bind 0.0.0.0:9090 failed'])).to.deep.equal([8080, 9090]);
  });

  it('finds the process that is in the way: first on the container’s own address, then its own sidecar', () => {
    const at = (address: string) => ({ address, port: 8080, inode: 'none' });
    const clash = (...addresses: string[]) => portClash(pod, ['EADDRINUSE'], () => undefined, addresses.map(at));
    expect(clash('127.77.9.1', pod.podAddress)).to.include(`on ${pod.podAddress}: `).and.include('listen on status.podIP (here 127.77.1.2');
    expect(clash(pod.podAddress, pod.appAddress)).to.include(`on ${pod.appAddress}: `);
    expect(clash()).to.equal(null);
    expect(portClash(pod, ['ECONNREFUSED'], () => undefined, [at('0.0.0.0')])).to.equal(null);
  });
});
