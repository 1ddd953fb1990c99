// The alert rules of manifests/observability: each fires when what it is for happens, and not before. promtool computes
// it, from series made up here.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse } from 'yaml';
import { neededBy } from '../support/needed.ts';
import { prometheusPrograms } from '../support/prometheus-program.ts';
import { ALERT_CASES, type AlertCase, HEALTHY } from './alert-cases.ts';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '..', '..');
const RULES = path.join(ROOT, 'manifests', 'observability', 'alerts.yaml');
const GUIDE = path.join(ROOT, 'docs', 'guides', 'observability.md');
/** The first run fetches Prometheus. */
const FETCH_MS = 120_000;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const rules = (parse(readFileSync(RULES, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

describe('alert rules', () => {
  it('say how bad it is, what happens and what to do', () => {
    const guide = readFileSync(GUIDE, 'utf8');
    for (const { alert, labels, annotations } of rules) {
      expect(labels.severity, alert).to.be.oneOf(['critical', 'warning', 'info']);
      expect(annotations.summary, alert).to.be.a('string').and.not.equal('');
      expect(annotations.description, alert).to.be.a('string').and.match(/\.$/);
      expect(annotations.runbook).to.equal(`docs/guides/observability.md#${alert.toLowerCase()}`);
      expect(guide, `a heading of the guide for ${alert}`).to.match(new RegExp(`^### ${alert}$`, 'm'));
    }
    const headings = [...guide.matchAll(/^### (Weft\w+)$/gm)].map(([, name]) => name);
    expect(headings).to.have.members(rules.map(({ alert }) => alert));
  });

  it('each has a case here', () => {
    expect(Object.keys(ALERT_CASES)).to.have.members(rules.map(({ alert }) => alert));
  });

  it('are the same to the operator: the guide’s command makes a PrometheusRule of them', async () => {
    const command = /```console\n\$ (\{ printf[\s\S]*?) \| kubectl apply -f -\n/.exec(readFileSync(GUIDE, 'utf8'))![1]!;
    const { stdout } = await run('sh', ['-c', command], { cwd: ROOT });
    const object = parse(stdout) as { apiVersion: string; kind: string; spec: { groups: { rules: Rule[] }[] } };
    expect(object.kind).to.equal('PrometheusRule');
    expect(object.spec.groups.flatMap((group) => group.rules)).to.deep.equal(rules);
  });

  describe('by promtool', function () {
    this.timeout(FETCH_MS);
    let promtool = '';
    let directory = '';

    before(async function () {
      promtool = neededBy(this, await prometheusPrograms()).promtool;
      directory = mkdtempSync(path.join(tmpdir(), 'weft-alerts-'));
    });

    after(() => {
      if (directory !== '') rmSync(directory, { recursive: true, force: true });
    });

    it('fire for what they are for, and nothing else fires', async () => {
      const file = path.join(directory, 'cases.yaml');
      const tests = Object.entries(ALERT_CASES).map(([alert, settings]) => testOf(alert, settings));
      writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests: [healthyTest(), ...tests] }));
      const { stdout } = await run(promtool, ['test', 'rules', file]).catch((error: { stdout: string; stderr: string }) => {
        throw new Error(`${error.stdout}\n${error.stderr}`);
      });
      expect(stdout).to.include('SUCCESS');
    });
  });
});

const FIRING = 'sort(count by (alertname) (ALERTS{alertstate="firing"}))';

/** When every alert has had its time: 15 minutes without news and a minute of `for` take longest. */
const AT = '20m';

function seriesOf(all: Readonly<Record<string, string>>): { series: string; values: string }[] {
  return Object.entries(all).flatMap(([series, values]) => (values === '' ? [] : [{ series, values }]));
}

function healthyTest(): unknown {
  return {
    interval: '1m',
    name: 'all is well',
    input_series: seriesOf(HEALTHY),
    promql_expr_test: [{ expr: FIRING, eval_time: AT, exp_samples: [] }],
  };
}

function testOf(alert: string, { series, also = [], quietAt }: AlertCase): unknown {
  const firing = [alert, ...also].map((name) => ({ labels: `{alertname="${name}"}`, value: 1 }));
  return {
    interval: '1m',
    name: alert,
    input_series: seriesOf({ ...HEALTHY, ...series }),
    promql_expr_test: [
      { expr: FIRING, eval_time: AT, exp_samples: firing },
      // It takes its time: one bad moment wakes nobody.
      { expr: FIRING, eval_time: quietAt, exp_samples: [] },
    ],
  };
}
