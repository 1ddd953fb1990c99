// The shop of examples/ on Kubernetes: the directory that `weft run` takes, applied as it is; then its weights change.
import path from 'node:path';
import { expect } from 'chai';
import { weft } from '../support/install.ts';
import { eventually, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';

const SHOP = path.resolve(import.meta.dirname, '../../../examples/shop');
const NS = 'shop';
const CALLS = 400;

interface Route {
  metadata: { name: string };
  spec: { rules: { name: string; backendRefs: { name: string; weight?: number }[] }[] };
}

describe('The shop on Kubernetes', () => {
  const stage = scene({});

  before(async function () {
    this.timeout(300_000);
    await stage.objects.must(['delete', 'namespace', NS, '--ignore-not-found', '--timeout=120s']);
    await stage.objects.must(['apply', '-f', SHOP]);
    await stage.objects.rolledOut(NS, 'checkout', 'payment-v1', 'payment-v2');
  });

  after(async () => {
    await stage.objects.dropNamespaces(NS);
  });

  it('runs meshed, and its route is accepted', async () => {
    const pods = await stage.objects.list<PodItem>('pods', NS);
    expect(pods.length).to.be.greaterThan(2);
    for (const pod of pods) expect(pod.metadata.annotations, pod.metadata.name).to.have.property('weft.dev/status');
    await eventually('the route in force', async () =>
      / ([1-9]\d*)\/\1\b/.test((await weft(stage.objects, ['status', 'routes', '-n', NS])).stdout),
    );
  });

  it('starts clean: no line of checkout tells of a failed call', async function () {
    this.timeout(120_000);
    let log = '';
    await eventually('the first summary', async () => {
      log = await stage.objects.must(['logs', 'deployment/checkout', '-c', 'checkout', '-n', NS]);
      return log.includes('last 30 s:');
    });
    expect(log).not.to.include('failed');
  });

  it('splits payment’s calls by the weights of its route', async () => {
    expect(await shareOfV2()).to.be.within(0.04, 0.18);
  });

  it('follows new weights, and no call fails meanwhile', async () => {
    const failed = await failedCalls();
    await setWeights(0, 100);
    await eventually('all calls at v2', async () => (await shareOfV2()) === 1);
    await setWeights(50, 50);
    await eventually('half of the calls at v2', async () => Math.abs((await shareOfV2()) - 0.5) < 0.1);
    expect(await failedCalls()).to.equal(failed);
  });

  /** Share of v2 in the Charge calls that payment's pods have answered while this looks. */
  async function shareOfV2(): Promise<number> {
    const before = await handled();
    let now = before;
    const count = (version: string) => now[version]! - before[version]!;
    await eventually(`${CALLS} calls`, async () => {
      now = await handled();
      return count('payment-v1') + count('payment-v2') >= CALLS;
    });
    return count('payment-v2') / (count('payment-v1') + count('payment-v2'));
  }

  /** Charge calls that each version has answered, by the metrics of its sidecars. */
  async function handled(): Promise<Record<string, number>> {
    const counts: Record<string, number> = { 'payment-v1': 0, 'payment-v2': 0 };
    for (const pod of await stage.objects.list<PodItem>('pods', NS, 'app=payment')) {
      const text = await metricsOf(pod.metadata.name);
      for (const [, labels, value] of text.matchAll(/^grpc_server_handled_total\{([^}]*)\} (\d+)/gm)) {
        if (labels!.includes('grpc_method="Charge"')) counts[`payment-${pod.metadata.labels!.version}`]! += Number(value);
      }
    }
    return counts;
  }

  /** Calls of checkout that did not end well. */
  async function failedCalls(): Promise<number> {
    const [pod] = await stage.objects.list<PodItem>('pods', NS, 'app=checkout');
    const text = await metricsOf(pod!.metadata.name);
    const lines = [...text.matchAll(/^grpc_client_handled_total\{([^}]*)\} (\d+)/gm)];
    expect(lines.length, 'series of checkout').to.be.greaterThan(0);
    return lines.filter(([, labels]) => !labels!.includes('grpc_code="OK"')).reduce((sum, [, , value]) => sum + Number(value), 0);
  }

  function metricsOf(pod: string): Promise<string> {
    return stage.objects.must(['get', '--raw', `/api/v1/namespaces/${NS}/pods/${pod}:15020/proxy/metrics`]);
  }

  async function setWeights(v1: number, v2: number): Promise<void> {
    const [route] = await stage.objects.list('grpcroutes', NS);
    const { metadata, spec } = route as unknown as Route;
    for (const { backendRefs } of spec.rules) {
      if (backendRefs.length < 2) continue;
      for (const reference of backendRefs) reference.weight = reference.name === 'payment-v1' ? v1 : v2;
    }
    await stage.objects.patch('grpcroute', metadata.name, NS, { spec: { rules: spec.rules } });
  }
});
