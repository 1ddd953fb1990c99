// The chart by the real Helm: our rendering equals it, and Go's YAML parser reads in our output what we wrote.
import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import { weftChart } from '#chart/chart.ts';
import { type ChartObject, renderChart } from '#chart/render.ts';
import { install, valuesOf } from '#cli/installation/objects.ts';
import { CHART_CASES } from '../../manifests/chart-cases.ts';
import { CHART_DIRECTORY, readByGo, renderedByHelm } from '../../manifests/helm.ts';
import { binary } from '../binaries.ts';

const BUILD_MS = 600_000;

function sorted(manifests: readonly ChartObject[]): ChartObject[] {
  return [...manifests].sort((a, b) => (`${a.kind}/${a.metadata.name}` < `${b.kind}/${b.metadata.name}` ? -1 : 1));
}

describe('the chart and Helm', () => {
  let helm = '';

  before(async function () {
    this.timeout(BUILD_MS);
    helm = await binary('helm');
  });

  it('Helm’s linter finds nothing', () => {
    const said = execFileSync(helm, ['lint', '--strict', '--namespace=weft-system', CHART_DIRECTORY], { encoding: 'utf8' });
    expect(said).to.include('0 chart(s) failed');
  });

  for (const [name, wishes] of Object.entries(CHART_CASES)) {
    it(`Helm renders what we render: ${name}`, () => {
      const chart = weftChart();
      const ours = renderChart(chart, valuesOf(wishes, chart), { name: 'weft', by: 'Helm' });
      expect(sorted(ours)).to.deep.equal(sorted(renderedByHelm(helm, wishes)));
    });

    it(`Go reads what we write: ${name}`, () => {
      const ours = install(wishes);
      expect(readByGo(helm, ours)).to.deep.equal(JSON.parse(JSON.stringify(ours)));
    });
  }
});
