// What the mesh shows: traces in a real Jaeger, metrics in a real Prometheus, an alert that fires on a canary that
// fails and ends with it.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { type JaegerSpan, type JaegerTrace, tagsOf, tracesIn } from '../../support/jaeger.ts';
import { client, type Prometheus } from '../../support/prometheus.ts';
import { quickRules } from '../../support/quick-rules.ts';
import { jaegerImage, prometheusImage } from '../image-list.ts';
import { openCluster } from '../session.ts';
import { install } from '../support/install.ts';
import { eventually, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const MANIFESTS = path.join(ROOT, 'manifests', 'observability');
const SHOP = path.join(ROOT, 'examples', 'shop');
const NS = 'shop';
const OBSERVABILITY = 'weft-observability';
const COLLECTOR = `http://jaeger.${OBSERVABILITY}:4318`;
const CHARGE = 'payment.PaymentService/Charge';
/** Calls a second: enough for rates over a few seconds, little beside all else that runs. */
const RATES: Readonly<Record<string, number>> = {
  CHARGE_PER_SECOND: 40,
  CHARGE_V2_PER_SECOND: 0,
  HISTORY_PER_SECOND: 0,
  RECONCILE_PER_SECOND: 0,
};

interface Route {
  metadata: { name: string };
  spec: { rules: { name: string; backendRefs: { name: string; weight?: number }[] }[] };
}

interface EnvironmentOf {
  env?: { name: string; value?: string }[];
}

describe('Observability', () => {
  const stage = scene({});
  let prometheus: Prometheus;

  before(async function () {
    // The first time Jaeger and Prometheus are built.
    this.timeout(1_200_000);
    const { objects } = stage;
    const session = await openCluster();
    if (!session.external) for (const image of [await jaegerImage(), await prometheusImage()]) await session.loadImage(image);
    await objects.must(['delete', 'namespace', NS, OBSERVABILITY, '--ignore-not-found', '--timeout=120s']);
    // As the guide has it.
    await objects.must(['apply', '-k', MANIFESTS]);
    await install(objects, `tracing.endpoint=${COLLECTOR}`, 'tracing.sampling=1');
    await objects.must(['apply', '-f', '-'], shop());
    // The same with seconds for minutes.
    const quick = quickCopy();
    try {
      await objects.must(['apply', '-k', quick]);
    } finally {
      rmSync(quick, { recursive: true, force: true });
    }
    await setWeights(100, 0);
    await Promise.all([
      objects.rolledOut(OBSERVABILITY, 'jaeger', 'prometheus'),
      objects.rolledOut(NS, 'checkout', 'payment-v1', 'payment-v2'),
    ]);
    prometheus = client((at) => atService('prometheus:http', at));
  });

  after(async function () {
    this.timeout(300_000);
    await stage.objects.dropNamespaces(NS);
    await stage.objects.must(['delete', '-k', MANIFESTS, '--ignore-not-found', '--wait=false']);
    await install(stage.objects);
  });

  it('gives new pods the collector’s address', async () => {
    for (const pod of await stage.objects.list<PodItem>('pods', NS)) {
      const sidecar = pod.spec.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER) as EnvironmentOf | undefined;
      expect(sidecar?.env, pod.metadata.name).to.deep.include({ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: COLLECTOR });
    }
  });

  it('has one trace for one call: checkout’s span, and in it payment’s', async () => {
    const trace = await eventually('a trace with both spans', async () => {
      const text = await atService('jaeger:query', `/api/traces?limit=20&service=checkout&operation=${encodeURIComponent(CHARGE)}`);
      // The first calls may have met the second version.
      return tracesIn(text).find(({ spans }) => spans.length > 1 && spans.every((span) => tagsOf(span).error !== true));
    });
    expect(trace.spans.length).to.equal(2);
    const [caller, callee] = [spanOf(trace, 'client'), spanOf(trace, 'server')];

    expect(caller.references).to.deep.equal([]);
    expect(callee.references).to.deep.equal([{ refType: 'CHILD_OF', traceID: trace.traceID, spanID: caller.spanID }]);
    expect([caller.operationName, callee.operationName]).to.deep.equal([CHARGE, CHARGE]);
    expect(caller.duration).to.be.at.least(callee.duration);

    const resources = [caller, callee].map(({ processID }) => trace.processes[processID]!);
    expect(resources.map(({ serviceName }) => serviceName)).to.deep.equal(['checkout', 'payment-v1']);
    for (const resource of resources) {
      expect(tagsOf(resource)).to.include({ 'service.namespace': NS, 'k8s.namespace.name': NS });
    }

    // docs/reference/tracing.md.
    const of = tagsOf(caller);
    const called = { 'rpc.system.name': 'grpc', 'rpc.method': CHARGE, 'rpc.status_code': 'OK' };
    expect(of).to.include({
      ...called,
      'server.address': `payment.${NS}`,
      'server.port': 8080,
      'network.peer.port': 8080,
      'weft.direction': 'outbound',
      'weft.service': `${NS}/payment:8080`,
      'weft.route': `GRPCRoute/${NS}/payment`,
      'weft.rule': 'charge',
      'weft.backend': `${NS}/payment-v1:8080`,
      'weft.peer.identity': `spiffe://cluster.local/ns/${NS}/sa/payment`,
    });
    const pods = await stage.objects.list<PodItem>('pods', NS);
    const chosen = pods.find(({ status }) => status.podIP === of['network.peer.address']);
    expect(of['weft.pod']).to.equal(`${NS}/${chosen?.metadata.name}`);
    expect(tagsOf(resources[1]!)['k8s.pod.name']).to.equal(chosen?.metadata.name);
    expect(tagsOf(callee)).to.include({
      ...called,
      'weft.direction': 'inbound',
      'weft.service': `${NS}/payment-v1:8080`,
      'weft.peer.identity': `spiffe://cluster.local/ns/${NS}/sa/checkout`,
    });
  });

  it('has a Prometheus that scrapes every sidecar, the control plane and the injector', async () => {
    const pods = await stage.objects.list<PodItem>('pods', NS);
    await eventually('all targets to be up', async () => {
      const up = await prometheus.query('up == 1');
      const names = (job: string) => up.filter(({ metric }) => metric.job === job).map(({ metric }) => metric.pod);
      expect(names('weft-sidecars')).to.include.members(pods.map(({ metadata }) => metadata.name));
      for (const job of [CONTROL_PLANE_NAME, INJECTOR_NAME]) expect(names(job).length, job).to.be.greaterThan(0);
      return true;
    });
    for (const { lastError, scrapeUrl } of await prometheus.targets()) expect(lastError, scrapeUrl).to.equal('');
    // A rate needs two scrapes.
    await eventually('calls by workload', async () => {
      const calls = await prometheus.query(
        'sum by (workload) (rate(grpc_server_handled_total{namespace="shop",grpc_method="Charge",grpc_code="OK"}[5s])) > 1',
      );
      expect(calls.map(({ metric }) => metric.workload)).to.include('payment-v1');
      return true;
    });
  });

  it('has an alert that fires when the canary fails, and ends when its weight is taken back', async () => {
    await eventually('no alert', async () => (await firing()).length === 0);
    await setWeights(50, 50);
    await eventually('the alert', async () => {
      const alerts = (await prometheus.alerts()).filter(({ state }) => state === 'firing');
      const of = (name: string) => alerts.filter(({ labels }) => labels.alertname === name);
      expect(of('WeftHighErrorRate').map(({ labels }) => labels.workload)).to.deep.equal(['payment-v2']);
      expect(of('WeftCallsFailing').map(({ labels }) => [labels.workload, labels.service])).to.deep.equal([
        ['checkout', 'shop/payment:8080'],
      ]);
      expect(of('WeftHighErrorRate')[0]!.annotations.summary).to.match(/^shop\/payment-v2 fails 100% of its calls$/);
      return true;
    });
    await setWeights(100, 0);
    await eventually('its end', async () => (await firing()).length === 0);
  });

  async function firing(): Promise<string[]> {
    return (await prometheus.alerts()).filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname);
  }

  /** By way of the API server. @param port service:port */
  function atService(port: string, at: string): Promise<string> {
    return stage.objects.must(['get', '--raw', `/api/v1/namespaces/${OBSERVABILITY}/services/${port}/proxy${at}`]);
  }

  async function setWeights(v1: number, v2: number): Promise<void> {
    const { spec } = (await stage.objects.list('grpcroutes', NS))[0] as unknown as Route;
    for (const { backendRefs } of spec.rules) {
      if (backendRefs.length < 2) continue;
      for (const reference of backendRefs) reference.weight = reference.name === 'payment-v1' ? v1 : v2;
    }
    await stage.objects.patch('grpcroute', 'payment', NS, { spec: { rules: spec.rules } });
  }
});

function spanOf({ spans }: JaegerTrace, kind: string): JaegerSpan {
  const span = spans.find((one) => tagsOf(one)['span.kind'] === kind);
  if (span === undefined) throw new Error(`no ${kind} span in ${JSON.stringify(spans.map(tagsOf))}`);
  return span;
}

/** The shop with fewer calls, and a second version that fails. */
function shop(): string {
  const files = readdirSync(SHOP).filter((name) => name.endsWith('.yaml'));
  const documents = files.sort().map((name) => readFileSync(path.join(SHOP, name), 'utf8'));
  let text = documents.join('\n---\n');
  for (const [name, rate] of Object.entries(RATES)) {
    text = replaced(text, new RegExp(`(name: ${name}\\n\\s*value: )"\\d+"|(name: ${name} #.*\\n\\s*value: )"\\d+"`), `$1$2"${rate}"`);
  }
  return replaced(text, /( *)- name: VERSION\n *value: v2\n/, '$&$1- name: FAIL_PERCENT\n$1  value: "100"\n');
}

/**
 * A copy of manifests/observability that differs only in its durations: seconds for minutes, and a scrape each second.
 */
function quickCopy(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-observability-'));
  cpSync(MANIFESTS, directory, { recursive: true });
  const edit = (file: string, change: (text: string) => string) => {
    const at = path.join(directory, file);
    writeFileSync(at, change(readFileSync(at, 'utf8')));
  };
  edit('alerts.yaml', (text) => quickRules(text, '1s'));
  edit('prometheus-config.yaml', (text) => replaced(text, /15s/g, '1s'));
  return directory;
}

function replaced(text: string, from: RegExp, to: string): string {
  const result = text.replace(from, to);
  if (result === text) throw new Error(`nothing in the manifests is ${from}`);
  return result;
}
