// How pods are captured, as `weft check` says it: by themselves, by the node agent, or not yet.
import { expect } from 'chai';
import { evaluate } from '#cli/check/evaluate.ts';
import type { Facts } from '#cli/check/facts.ts';
import type { ClusterPod } from '#cli/cluster/objects.ts';
import { deployment, facts, ok, shopPod } from './facts.ts';

const BY_AGENT = [
  { name: 'WEFT_IMAGE', value: 'localhost/weft:0.1.0' },
  { name: 'WEFT_NODE_AGENT', value: 'true' },
];

function agent(node: string, status: 'True' | 'False' = 'True'): ClusterPod {
  return {
    metadata: {
      namespace: 'weft-system',
      name: `weft-node-agent-${node}`,
      ownerReferences: [{ kind: 'DaemonSet', name: 'weft-node-agent' }],
    },
    spec: { nodeName: node, containers: [{ name: 'node-agent' }] },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status, message: status === 'True' ? '' : 'containers with unready status' }],
    },
  };
}

/** A pod of namespace shop that the agent captures. */
function captured(name: string, node: string, started = true): ClusterPod {
  const pod = shopPod(name);
  return {
    ...pod,
    spec: {
      ...pod.spec,
      nodeName: node,
      initContainers: [{ name: 'weft-proxy', restartPolicy: 'Always', securityContext: { runAsUser: 2102 } }],
    },
    status: { ...pod.status, initContainerStatuses: [{ name: 'weft-proxy', ready: started, started, state: { running: {} } }] },
  };
}

const withAgent = (pods: readonly ClusterPod[], change: Partial<Facts> = {}) =>
  evaluate(
    facts({ deployments: ok([deployment('weft-control-plane'), deployment('weft-injector', BY_AGENT)]), pods: ok(pods), ...change }),
  );
const find = (checks: ReturnType<typeof evaluate>, id: string) =>
  checks.find((check) => check.category === 'Namespaces' && check.id === id);

describe('weft check, how pods are captured', () => {
  it('names the way of each namespace', () => {
    expect(find(evaluate(facts()), 'namespaces')).to.deep.include({
      text: "1 namespace meshed: shop; captured by the pods' own containers",
      details: [],
    });
    const all = [agent('a'), captured('web-1', 'a')];
    expect(find(withAgent(all), 'namespaces')).to.deep.include({
      text: '1 namespace meshed: shop; captured by the node agent',
      details: [],
    });
    expect(find(withAgent([...all, shopPod('old-1')]), 'namespaces')!.details).to.deep.equal([
      "shop: 1 pod by the node agent, 1 pod by the pods' own containers",
    ]);
  });

  it('is content with an agent on each node, also where namespaces enforce restricted', () => {
    const labels = { 'weft.dev/inject': 'enabled', 'pod-security.kubernetes.io/enforce': 'restricted' };
    const namespaces = ok([{ metadata: { name: 'weft-system' } }, { metadata: { name: 'shop', labels } }]);
    const checks = withAgent([agent('a'), agent('b'), captured('web-1', 'a'), captured('web-2', 'b')], { namespaces });
    expect(find(checks, 'node-agent')).to.deep.include({ state: 'ok', text: 'the node agent is ready on 2 nodes' });
    expect(find(checks, 'pod-security')).to.equal(undefined);
    expect(find(checks, 'waiting')).to.equal(undefined);
  });

  it('names nodes without a ready agent, and the pods that wait there', () => {
    const pods = [agent('a'), agent('b', 'False'), captured('web-1', 'a'), captured('web-2', 'b', false), captured('web-3', 'c', false)];
    const checks = withAgent(pods);
    expect(find(checks, 'node-agent')).to.deep.include({
      state: 'warning',
      text: '2 nodes without a ready node agent: new meshed pods wait there',
      details: ['b: weft-node-agent-b: containers with unready status', 'c: it has no pod there'],
    });
    expect(find(checks, 'waiting')).to.deep.include({ state: 'failed', details: ['shop/web-2 on b', 'shop/web-3 on c'] });
  });

  it('names a pod that waits although the agent of its node is ready, by what its sidecar says', () => {
    const sidecarWords = new Map([['shop/web-1', 'traffic is not captured: …; it waits for the node agent (DaemonSet weft-node-agent …)']]);
    const pods = [agent('a'), captured('web-1', 'a', false), captured('web-2', 'a', false)];
    expect(find(withAgent(pods, { sidecarWords }), 'waiting')!.details).to.deep.equal(['shop/web-1 on a']);
  });

  it('says that there is no agent, and what refuses it', () => {
    const missing = find(withAgent([captured('web-1', 'a', false)]), 'node-agent')!;
    expect(missing).to.deep.include({ state: 'failed', details: [] });
    expect(missing.hint).to.contain('nodeAgent.enabled=true');
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const namespaces = ok([{ metadata: { name: 'weft-system', labels } }]);
    expect(find(withAgent([], { namespaces }), 'node-agent')!.details).to.deep.equal([
      'namespace weft-system enforces Pod Security restricted, which refuses its pods',
    ]);
  });
});
