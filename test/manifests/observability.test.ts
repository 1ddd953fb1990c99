// manifests/observability without a cluster: what is wired to what, and that dashboards and alerts ask only for metrics
// and labels that there are.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse, parseAllDocuments } from 'yaml';
import { install } from '#cli/installation/objects.ts';
import { CONTROL_PLANE_VIEW_PORT, SIDECAR_ADMIN_PORT, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { sidecarContainer } from '#injector/containers.ts';
import { SETTINGS } from '../injector/golden-case.ts';
import { neededBy } from '../support/needed.ts';
import { prometheusPrograms } from '../support/prometheus-program.ts';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '..', '..');
const DIRECTORY = path.join(ROOT, 'manifests', 'observability');
const DASHBOARDS = path.join(DIRECTORY, 'dashboards');
const GRID_COLUMNS = 24;
/** Labels that the scrape configuration adds, and those that Prometheus does. */
const LABELS_OF_SCRAPES = ['namespace', 'pod', 'workload', 'job', 'instance'];

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly refId: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly title: string;
  readonly uid: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[] };
}

interface Thing {
  kind: string;
  metadata: { name: string; namespace?: string };
  // biome-ignore lint/suspicious/noExplicitAny: of many kinds
  spec: any;
}

const read = (file: string): string => readFileSync(path.join(DIRECTORY, file), 'utf8');
const files = readdirSync(DASHBOARDS);
const dashboards = files.map((file): [string, Dashboard] => [file, JSON.parse(readFileSync(path.join(DASHBOARDS, file), 'utf8'))]);
const objects = ['jaeger.yaml', 'prometheus.yaml'].flatMap((file) =>
  parseAllDocuments(read(file)).map((document) => document.toJS() as Thing),
);
const object = (kind: string, name: string) => objects.find((one) => one.kind === kind && one.metadata.name === name)!;

/** Expressions with where they stand. Variables have become values. */
function expressions(): [string, string][] {
  const rules = (parse(read('alerts.yaml')) as { groups: { rules: { alert: string; expr: string }[] }[] }).groups.flatMap(
    (one) => one.rules,
  );
  const panels = dashboards.flatMap(([file, { panels: all }]) =>
    all.flatMap(({ title, targets = [] }) => targets.map(({ expr }): [string, string] => [`${file}: ${title}`, withoutVariables(expr)])),
  );
  return [...rules.map(({ alert, expr }): [string, string] => [alert, expr]), ...panels];
}

function withoutVariables(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replace(/\$(service|route|namespace)\b/g, 'a');
}

/** Metric → its labels, from the reference, which is held against the programs' own pages by a test of its own. */
function documentedMetrics(): Map<string, string[]> {
  const rows = readFileSync(path.join(ROOT, 'docs/reference/metrics.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  return new Map(
    rows.flatMap((row) => {
      const [, name, type, labels] = row.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      const own = labels!.split(', ');
      if (type !== 'histogram') return [[name!, own]] as [string, string[]][];
      return [`${name}_bucket`, `${name}_sum`, `${name}_count`].map((one): [string, string[]] => [one, [...own, 'le']]);
    }),
  );
}

describe('manifests/observability', () => {
  it('ask only for metrics that the programs show, by labels that these have', () => {
    const metrics = documentedMetrics();
    const used = new Set<string>();
    const all = [
      ...expressions(),
      ...dashboards.flatMap(([file, { templating }]) =>
        templating.list.map((one): [string, string] => [`${file}: ${one.name}`, withoutVariables(one.definition ?? '')]),
      ),
    ];
    for (const [where, expr] of all) {
      for (const [, name, selector = ''] of expr.matchAll(/\b((?:weft|grpc|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)) {
        if (/^grpc_(code|service|method|type)$/.test(name!)) continue;
        expect(metrics.has(name!), `${where}: ${name} is in docs/reference/metrics.md`).to.equal(true);
        used.add(name!);
        for (const [, label] of selector.matchAll(/(\w+)(?:=~|!=|!~|=)/g))
          expect([...metrics.get(name!)!, ...LABELS_OF_SCRAPES], `${where}: ${name}`).to.include(label);
      }
    }
    expect(used.size).to.be.greaterThan(30);
  });

  it('are expressions of Prometheus', async function () {
    this.timeout(120_000);
    const programs = neededBy(this, await prometheusPrograms());
    const directory = mkdtempSync(path.join(tmpdir(), 'weft-rules-'));
    try {
      const file = path.join(directory, 'rules.yaml');
      const rules = expressions().map(([where, expr], i) => ({ record: `check:${i}`, expr, labels: { where } }));
      writeFileSync(file, JSON.stringify({ groups: [{ name: 'all', rules }] }));
      const { stdout } = await run(programs.promtool, ['check', 'rules', file]).catch((error: { stdout: string; stderr: string }) => {
        throw new Error(`${error.stdout}${error.stderr}`);
      });
      expect(stdout).to.include(`${rules.length} rules found`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  for (const [file, { panels, templating, schemaVersion, uid }] of dashboards) {
    it(`${file} has no data source of its own, and panels that do not cover each other`, () => {
      expect(schemaVersion).to.be.at.least(39);
      expect(uid).to.equal(`weft-${file.replace('.json', '')}`);
      expect(templating.list[0]).to.include({ name: 'datasource', type: 'datasource' });
      expect(new Set(panels.map(({ id }) => id)).size).to.equal(panels.length);
      const taken = new Set<string>();
      for (const { type, title, gridPos, datasource, targets = [] } of panels) {
        expect(gridPos.x + gridPos.w, title).to.be.at.most(GRID_COLUMNS);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.has(`${x},${y}`), `${title} lies on another panel`).to.equal(false);
            taken.add(`${x},${y}`);
          }
        }
        if (type === 'row') continue;
        expect(targets.length, title).to.be.greaterThan(0);
        for (const one of [{ datasource }, ...targets]) expect(one.datasource?.uid, title).to.equal(`\${datasource}`);
        expect(new Set(targets.map(({ refId }) => refId)).size, title).to.equal(targets.length);
      }
    });
  }

  it('every dashboard is in the kustomization, labelled for Grafana, and small enough for kubectl apply', () => {
    const { configMapGenerator } = parse(read('kustomization.yaml')) as {
      configMapGenerator: { name: string; files: string[]; options?: { labels: Record<string, string> } }[];
    };
    const maps = configMapGenerator.filter(({ options }) => options?.labels.grafana_dashboard === '1');
    expect(maps.flatMap((one) => one.files)).to.have.members(files.map((file) => `dashboards/${file}`));
    for (const file of files) expect(readFileSync(path.join(DASHBOARDS, file)).length, file).to.be.below(200_000);
  });

  it('Prometheus finds the ports by the names that they have in pods', () => {
    const { scrape_configs: jobs, rule_files: rules } = parse(read('prometheus-config.yaml'), { merge: true }) as {
      scrape_configs: { job_name: string; relabel_configs: { regex?: string; action?: string }[] }[];
      rule_files: string[];
    };
    expect(jobs.map(({ job_name }) => job_name)).to.deep.equal(['weft-sidecars', 'weft-control-plane', 'weft-injector', 'weft-node-agent']);
    expect(rules).to.deep.equal(['/etc/prometheus/alerts.yaml']);
    // The containers of an installation.
    const all = install({ ha: false, files: [], set: ['nodeAgent.enabled=true'] });
    const programs = all.filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet') as unknown as Thing[];
    expect(programs).to.have.length(3);
    for (const { metadata, spec } of programs) {
      const [container] = spec.template.spec.containers;
      expect(metadata.namespace).to.equal(SYSTEM_NAMESPACE);
      expect(container.ports).to.deep.include({ name: 'view', containerPort: CONTROL_PLANE_VIEW_PORT });
      expect(jobs.map(({ relabel_configs: [first] }) => first!.regex)).to.include(
        `${spec.template.metadata.labels['app.kubernetes.io/component']};view`,
      );
    }
    const { ports } = sidecarContainer(SETTINGS, {}) as unknown as { ports: unknown };
    expect(ports).to.deep.equal([{ name: jobs[0]!.relabel_configs[0]!.regex, containerPort: SIDECAR_ADMIN_PORT, protocol: 'TCP' }]);
  });

  it('their pods fit the strictest Pod Security Standard, and their Services meet ports that there are', () => {
    for (const name of ['jaeger', 'prometheus']) {
      const { template } = object('Deployment', name).spec;
      const [container] = template.spec.containers;
      expect(template.spec.securityContext).to.deep.include({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(container.securityContext).to.deep.equal({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.resources.limits.memory, name).to.be.a('string');
      expect(container.readinessProbe, name).to.be.an('object');
      const ports = container.ports.map((port: { name: string }) => port.name);
      for (const { targetPort } of object('Service', name).spec.ports) expect(ports).to.include(targetPort);
    }
  });

  it('Jaeger’s Service is where sidecars are told to send', () => {
    const ports = object('Service', 'jaeger').spec.ports.map(({ name, port }: { name: string; port: number }) => [name, port]);
    expect(ports).to.deep.include.members([
      ['otlp-http', 4318],
      ['query', 16686],
    ]);
    expect(object('Service', 'jaeger').metadata.namespace).to.equal('weft-observability');
  });
});
