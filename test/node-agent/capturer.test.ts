// Pods of a node from creation to captured: when the agent looks, what it loads, what it says when it cannot.
import { expect } from 'chai';
import type { Logger } from '#core/program/log.ts';
import type { EventContent } from '#kube/events.ts';
import { Capturer } from '#node-agent/capturer.ts';
import { NodeAgentMetrics } from '#node-agent/metrics.ts';
import { type AgentPod, projectAgentPod } from '#node-agent/waiting-pod.ts';
import { ManualTimers } from '#test/support/manual-timers.ts';
import { AGENT_NETWORK, FakeNode, NODE_NETWORK, SHIM } from './node.ts';

const UID = 'ad5374ff-036b-49cc-9dce-f14c3717653d';
const SILENT = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT } as unknown as Logger;

/** An injected pod as the API server has it. */
function rawPod(change: { uid?: string; env?: Record<string, string>; spec?: object; status?: object; metadata?: object } = {}) {
  const env = Object.entries({ WEFT_CAPTURE: 'agent', ...change.env }).map(([name, value]) => ({ name, value }));
  return {
    metadata: { namespace: 'shop', name: 'web', uid: change.uid ?? UID, ...change.metadata },
    spec: { initContainers: [{ name: 'weft-proxy', restartPolicy: 'Always', env }], ...change.spec },
    status: change.status ?? { phase: 'Pending' },
  };
}
const statusOf = (sidecar: object) => ({ phase: 'Pending', initContainerStatuses: [{ name: 'weft-proxy', ...sidecar }] });
const RUNS = statusOf({ started: false, state: { running: {} } });
const STARTED = statusOf({ started: true, state: { running: {} } });
const pod = (change: Parameters<typeof rawPod>[0] = {}): AgentPod => projectAgentPod(rawPod(change))!;

describe('the pods that the agent takes', () => {
  it('have a sidecar that asks for it; their rules are those of its environment', () => {
    const taken = pod({ env: { WEFT_SKIP_INBOUND_PORTS: '9999', WEFT_SKIP_OUTBOUND_PORTS: '25' } });
    expect(taken).to.deep.include({ uid: UID, namespace: 'shop', name: 'web', runs: false, started: false });
    expect('text' in taken.rules && taken.rules.text).to.match(/tcp dport { 9999 } accept[\s\S]*tcp dport { 25 } accept/);
    expect(pod({ env: { WEFT_SKIP_INBOUND_PORTS: 'x' } }).rules).to.have.property('problem');
    expect(pod({ status: RUNS })).to.deep.include({ runs: true, started: false });
    expect(pod({ status: STARTED })).to.deep.include({ started: true });
  });

  it('are no others', () => {
    const others = {
      'captured by its own container': rawPod({ env: { WEFT_CAPTURE: 'enabled' } }),
      'on the network of the node': rawPod({ spec: { ...rawPod().spec, hostNetwork: true } }),
      'without a sidecar': rawPod({ spec: { initContainers: [] } }),
      'going away': rawPod({ metadata: { deletionTimestamp: '2026-12-01T00:00:00Z' } }),
      ended: rawPod({ status: { phase: 'Succeeded' } }),
    };
    for (const [what, raw] of Object.entries(others)) expect(projectAgentPod(raw), what).to.equal(undefined);
  });
});

describe('a pod of the node', () => {
  const setUp = () => {
    const node = new FakeNode();
    const timers = new ManualTimers();
    const loads: number[] = [];
    const events: EventContent[] = [];
    const nft = { code: 0 as number | null, stderr: '', failure: '' };
    const capturer = new Capturer({
      processes: node,
      forbidden: [
        { dev: 4, ino: NODE_NETWORK },
        { dev: 4, ino: AGENT_NETWORK },
      ],
      load: async (_rules, network) => {
        loads.push(network);
        return { ...nft };
      },
      metrics: new NodeAgentMetrics(),
      record: (event) => events.push(event),
      timers,
      monotonicMs: () => timers.now(),
      log: SILENT,
    });
    const sandbox = (network: number, pid = 100, uid = UID) => node.table.set(pid, { uid, parent: SHIM, startTime: timers.now(), network });
    /** Time passes in steps, between which what was begun ends. */
    const pass = async (ms: number) => {
      for (let left = ms; left > 0; left -= 5) {
        timers.advance(Math.min(5, left));
        for (let i = 0; i < 10; i++) await Promise.resolve();
      }
    };
    return { node, loads, events, nft, handler: capturer.handler, sandbox, pass, timers };
  };

  it('is captured soon after its sandbox is there', async () => {
    const { handler, sandbox, loads, pass } = setUp();
    handler.synced([], []);
    handler.applied(pod());
    await pass(300);
    expect(loads).to.deep.equal([]);
    sandbox(7);
    await pass(30);
    expect(loads).to.deep.equal([7]);
    await pass(5000);
    expect(loads, 'once').to.deep.equal([7]);
  });

  it('is not entered while the runtime’s process is still in the node’s network', async () => {
    const { handler, sandbox, loads, pass } = setUp();
    handler.applied(pod());
    sandbox(NODE_NETWORK);
    await pass(100);
    expect(loads).to.deep.equal([]);
    sandbox(7, 101);
    await pass(100);
    expect(loads, 'the oldest decides').to.deep.equal([]);
  });

  it('whose sidecar has started is left alone: when the agent begins, and from then on', async () => {
    const { handler, sandbox, loads, node, pass, timers } = setUp();
    sandbox(7);
    handler.synced([pod({ status: STARTED })], []);
    await pass(1000);
    expect([loads, node.reads, timers.nextInMs()]).to.deep.equal([[], 0, null]);
  });

  it('that waits is captured when the agent begins', async () => {
    const { handler, sandbox, loads, pass } = setUp();
    sandbox(7);
    handler.synced([pod({ status: RUNS })], []);
    await pass(5);
    expect(loads).to.deep.equal([7]);
  });

  it('is captured anew in a new sandbox', async () => {
    const { handler, sandbox, loads, node, pass } = setUp();
    handler.applied(pod());
    sandbox(7);
    await pass(50);
    node.table.delete(100);
    await pass(600);
    // The kernel gives the number of a namespace that is gone to the next one.
    sandbox(7, 300);
    await pass(600);
    expect(loads).to.deep.equal([7, 7]);
    // And again after its sidecar had started.
    handler.applied(pod({ status: STARTED }));
    node.table.delete(300);
    sandbox(9, 400);
    handler.applied(pod({ status: RUNS }));
    await pass(50);
    expect(loads).to.deep.equal([7, 7, 9]);
  });

  it('gets an Event when its rules cannot be loaded, and is tried again at growing distance', async () => {
    const { handler, sandbox, loads, events, nft, pass } = setUp();
    Object.assign(nft, { code: 1, stderr: 'Error: Could not process rule: No such file or directory' });
    handler.applied(pod());
    sandbox(7);
    await pass(800);
    expect(loads).to.have.length(1);
    expect(events).to.have.length(1);
    expect(events[0]).to.deep.include({
      type: 'Warning',
      reason: 'CaptureFailed',
      regarding: { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web', uid: UID },
    });
    expect(events[0].message).to.match(/weft-node-agent could not load .*nf_tables/);
    await pass(400);
    expect(loads).to.have.length(2);
    await pass(1500);
    expect(loads).to.have.length(2);
    Object.assign(nft, { code: 0, stderr: '' });
    await pass(600);
    expect(loads).to.have.length(3);
    await pass(60_000);
    expect(loads).to.have.length(3);
  });

  it('whose sidecar runs and that has no process here gets one, once', async () => {
    const { handler, events, pass } = setUp();
    handler.applied(pod({ status: RUNS }));
    await pass(4000);
    expect(events).to.have.length(0);
    await pass(60_000);
    expect(events.map(({ message }) => /no process of it is found/.test(message))).to.deep.equal([true]);
  });

  it('that is gone is looked for no more', async () => {
    const { handler, node, pass, timers } = setUp();
    handler.applied(pod());
    await pass(100);
    handler.removed({ metadata: { uid: UID } });
    await pass(100);
    node.reads = 0;
    await pass(1000);
    expect([node.reads, timers.nextInMs()]).to.deep.equal([0, null]);
  });

  it('is captured with many others, a few at a time', async () => {
    const { handler, sandbox, loads, pass } = setUp();
    const uids = Array.from({ length: 50 }, (_, i) => `00000000-0000-0000-0000-0000000000${10 + i}`);
    for (const [i, uid] of uids.entries()) {
      sandbox(100 + i, 1000 + i, uid);
      handler.applied(pod({ uid }));
    }
    await pass(2000);
    expect(loads.sort()).to.deep.equal(uids.map((_, i) => 100 + i));
  });
});
