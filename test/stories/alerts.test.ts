// Two sidecars scraped by a real Prometheus with the real alert rules: a version that fails sets an alert off, and
// leads to a trace in a real Jaeger.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { goTool } from '../support/go-tools.ts';
import { type Jaeger, startJaeger, tagsOf } from '../support/jaeger.ts';
import { NAMESPACE } from '../support/mesh.ts';
import { neededBy } from '../support/needed.ts';
import { type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { prometheusPrograms } from '../support/prometheus-program.ts';
import { quickRules } from '../support/quick-rules.ts';
import { type RawMesh, startRawMesh } from '../support/raw-mesh.ts';
import { grpcRoute, split } from '../support/routes.ts';
import { until } from '../support/until.ts';

const RULES = path.resolve(import.meta.dirname, '../../manifests/observability/alerts.yaml');
const PODS = ['caller', 'v1', 'v2'];
/** Of a real minute. */
const MINUTE = '200ms';
/** The first run builds Jaeger and fetches Prometheus. */
const BUILD_MS = 900_000;
/** gRPC's INTERNAL. */
const INTERNAL = '13';

describe('alerts', function () {
  this.timeout(60_000);
  let directory = '';
  let jaeger: Jaeger;
  let prometheus: Prometheus;
  let raw: RawMesh;
  const startedMs = Date.now();
  let calls: NodeJS.Timeout;

  before(async function () {
    this.timeout(BUILD_MS);
    directory = mkdtempSync(path.join(tmpdir(), 'weft-alerts-'));
    const rules = path.join(directory, 'alerts.yaml');
    writeFileSync(rules, quickRules(readFileSync(RULES, 'utf8'), MINUTE));
    neededBy(this, await goTool('jaeger'));
    neededBy(this, await prometheusPrograms());
    jaeger = await startJaeger();
    raw = await startRawMesh({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true },
        { name: 'v2', serves: true },
      ],
      otel: { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl, OTEL_BSP_SCHEDULE_DELAY: '20' },
      routes: [grpcRoute([split({ v1: 100, v2: 0 })])],
    });
    raw.apps.get('v2')!.grpcStatus = INTERNAL;
    const { mesh, caller } = raw;
    calls = setInterval(() => void caller.call({}), 10);
    prometheus = await startPrometheus({
      scrape: [
        {
          job: 'weft-sidecars',
          targets: PODS.map((pod) => ({
            address: `${mesh.podAddress(pod)}:${SIDECAR_ADMIN_PORT}`,
            labels: { namespace: NAMESPACE, pod, workload: pod },
          })),
        },
      ],
      rules: [rules],
      interval: MINUTE,
    });
  });

  after(async () => {
    clearInterval(calls);
    await raw?.close();
    await Promise.all([prometheus?.stop(), jaeger?.stop()]);
    rmSync(directory, { recursive: true, force: true });
  });

  /** Alerts about calls; the control plane and the injector are not scraped here. */
  async function firing(): Promise<string[]> {
    const alerts = (await prometheus.alerts()).filter(({ state, labels }) => state === 'firing' && 'workload' in labels);
    return alerts.map(({ labels: { alertname, workload, service = '' } }) => `${alertname} ${workload} ${service}`.trim()).sort();
  }

  it('are fed by a Prometheus that reads the pages of all sidecars', async () => {
    await until(async () => (await prometheus.query('up == 1')).length === PODS.length, 'all sidecars are scraped');
    for (const { lastError } of await prometheus.targets()) expect(lastError).to.equal('');
    await until(
      async () => ((await prometheus.value('sum(grpc_server_handled_total{workload="v1",grpc_code="OK"})')) ?? 0) > 10,
      'calls are counted',
    );
    expect(await firing()).to.deep.equal([]);
  });

  it('fire for the version that fails and for its caller', async () => {
    raw.mesh.setRoutes([grpcRoute([split({ v1: 50, v2: 50 })])]);
    const both = ['WeftCallsFailing caller shop/echo:8080', 'WeftHighErrorRate v2'];
    await until(async () => {
      const now = await firing();
      return both.every((one) => now.includes(one));
    }, 'both fire');
  });

  it('lead to a failed call in Prometheus that is a trace in Jaeger', async () => {
    const [exemplar] = await prometheus.exemplars('grpc_server_handled_total{workload="v2",grpc_code="Internal"}', startedMs);
    const id = exemplar!.trace_id!;
    await until(async () => ((await jaeger.trace(id))?.spans.length ?? 0) === 2, 'both spans are there');
    const { spans, processes } = (await jaeger.trace(id))!;
    const server = spans.find((span) => tagsOf(span)['span.kind'] === 'server')!;
    const client = spans.find((span) => tagsOf(span)['span.kind'] === 'client')!;
    expect(server.references).to.deep.equal([{ refType: 'CHILD_OF', traceID: server.traceID, spanID: client.spanID }]);
    expect([client, server].map(({ processID }) => processes[processID]!.serviceName)).to.deep.equal(['caller', 'v2']);
    for (const span of spans) expect(tagsOf(span)).to.include({ error: true, 'rpc.status_code': 'INTERNAL' });
  });

  it('end when the version gets no calls any more', async () => {
    raw.mesh.setRoutes([grpcRoute([split({ v1: 100, v2: 0 })])]);
    await until(async () => (await firing()).length === 0, 'none fires');
  });
});
