// The scale test in small: a real API server, a whole control plane, sidecars over mTLS. Counts and octets, no times.
import { expect } from 'chai';
import { readScaleOptions, type ScaleOptions } from '../../bench/scale/options.ts';
import { scaleTables, slopeKiB } from '../../bench/scale/report.ts';
import { runScale } from '../../bench/scale/run.ts';
import { neededBy } from '../support/needed.ts';
import { apiServerPrograms } from '../support/real-api-server.ts';

const SMALL = '--services 20 --sidecars 12 --routes 20 --churning 10 --wants 5 --changes 2 --idle 0'.split(' ');

function optionsOf(args: readonly string[]): ScaleOptions {
  const options = readScaleOptions(args);
  if ('problem' in options) throw new Error(options.problem);
  return options;
}

describe('bench: scale', () => {
  it('takes sizes, and names what is none', () => {
    expect(optionsOf([])).to.include({ services: 10_000, routes: 2000, churning: 700, wants: 20, heap: 512, keep: false });
    expect(optionsOf(['--services', '100'])).to.include({ routes: 100, churning: 100 });
    expect(readScaleOptions(['--sidecars', 'many'])).to.deep.equal({ problem: '--sidecars must be a number from 4 to 10000, not "many"' });
    expect(readScaleOptions(['--sizes', '1'])).to.have.property('problem');
  });

  it('tells what one sidecar adds from several sizes', () => {
    const at = (sidecars: number, rssMiB: number) => ({ sidecars, rssMiB, heapMiB: 0, peakRssMiB: 0 });
    expect(slopeKiB([at(0, 100), at(100, 110), at(200, 120)], 'rssMiB')).to.be.closeTo(102.4, 1e-9);
  });

  describe('in small', () => {
    before(function () {
      neededBy(this, apiServerPrograms());
    });

    it('brings each change to every sidecar for what it is worth, all back after a kill, and all verdicts', async function () {
      this.timeout(240_000);
      const options = optionsOf(SMALL);
      const figures = await runScale(options, () => {}, new AbortController().signal);
      const { memory, changes, returns, verdicts, problem } = figures;
      expect(problem).to.equal('');
      expect(memory.map(({ sidecars }) => sidecars)).to.deep.equal([0, 3, 6, 9, 12]);
      const octets = Object.fromEntries(changes.map(({ change, octetsEach }) => [change, octetsEach]));
      expect(octets['an endpoint of 1,000 goes, or comes back']).to.be.within(50, 1024);
      expect(octets['a Service is new']).to.be.within(50, 1024);
      expect(returns.map(({ what }) => what)).to.deep.equal(['the replica was killed', 'an upgrade in which every version is another']);
      const [same, other] = returns.map(({ octetsEach }) => octetsEach);
      expect(same, 'what a sidecar holds is not sent again').to.be.lessThan(other! / 3);
      expect(verdicts!.allMs, 'all verdicts are written').to.not.equal(null);
      expect(scaleTables(figures, options).map(({ rows }) => rows.length)).to.deep.equal([8, 4, 3, 5]);
    });
  });
});
