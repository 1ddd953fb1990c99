// Which process of a pod is its sandbox's, and into which network namespaces nothing is loaded.
import { expect } from 'chai';
import { enterPod } from '#node-agent/process/enter.ts';
import { Sandboxes } from '#node-agent/process/sandboxes.ts';
import { AGENT_NETWORK, FakeNode, NODE_NETWORK, SHIM } from './node.ts';

const POD = 'ad5374ff-036b-49cc-9dce-f14c3717653d';
const OTHER = '11111111-2222-3333-4444-555555555555';

describe('the first process of a pod', () => {
  it('is the oldest, whatever its id', () => {
    const node = new FakeNode();
    node.table.set(100, { uid: POD, parent: SHIM, startTime: 500, network: 8 });
    node.table.set(200, { uid: POD, parent: SHIM, startTime: 400, network: 7 });
    node.table.set(300, { uid: OTHER, parent: SHIM, startTime: 100, network: 9 });
    const found = new Sandboxes(node).find(new Set([POD]), 0);
    expect([...found.keys()]).to.deep.equal([POD]);
    expect(found.get(POD)).to.deep.include({ pid: 200, startTime: 400 });
  });

  it('is found when it moves into the pod’s group after it began', () => {
    const node = new FakeNode();
    const sandboxes = new Sandboxes(node);
    const late = { parent: SHIM, startTime: 500, network: 7 };
    node.table.set(100, late);
    expect(sandboxes.find(new Set([POD]), 0).size).to.equal(0);
    node.table.set(100, { ...late, uid: POD });
    expect(sandboxes.find(new Set([POD]), 1000).get(POD)?.pid).to.equal(100);
  });

  it('is looked for among new processes alone, and among all after a while: an id may be another process’s by then', () => {
    const node = new FakeNode();
    for (let pid = 1000; pid < 2000; pid++) node.table.set(pid, { parent: 1, startTime: 1, network: NODE_NETWORK });
    const sandboxes = new Sandboxes(node);
    sandboxes.find(new Set([POD]), 0);
    sandboxes.find(new Set([POD]), 2000);
    node.reads = 0;
    node.table.set(1500, { uid: POD, parent: SHIM, startTime: 900, network: 7 });
    node.table.set(2001, { uid: OTHER, parent: SHIM, startTime: 900, network: 7 });
    expect(sandboxes.find(new Set([POD]), 2500).size).to.equal(0);
    expect(node.reads).to.equal(1);
    expect(sandboxes.find(new Set([POD]), 5000).get(POD)?.pid).to.equal(1500);
  });
});

describe('rules are loaded', () => {
  const first = { pid: 100, parent: SHIM, startTime: 500 };
  const nodeWith = (network: number) => {
    const node = new FakeNode();
    node.table.set(100, { uid: POD, parent: SHIM, startTime: 500, network });
    return node;
  };
  const enter = async (node: FakeNode, outcome = { code: 0, stderr: '', failure: '' }) => {
    const loads: [string, number][] = [];
    const said = await enterPod(POD, first, 'RULES', {
      processes: node,
      forbidden: [
        { dev: 4, ino: NODE_NETWORK },
        { dev: 4, ino: AGENT_NETWORK },
      ],
      load: async (rules, network) => {
        loads.push([rules, network]);
        return outcome;
      },
    });
    expect(node.open, 'descriptors left open').to.equal(0);
    return { said, loads };
  };

  it('into the namespace that was opened', async () => {
    const { said, loads } = await enter(nodeWith(7));
    expect(said).to.deep.equal({ result: 'loaded' });
    expect(loads).to.deep.equal([['RULES', 7]]);
  });

  for (const [what, network] of Object.entries({ 'the node’s network': NODE_NETWORK, 'the agent’s own': AGENT_NETWORK })) {
    it(`never into ${what}`, async () => {
      const { said, loads } = await enter(nodeWith(network));
      expect([said.result, loads]).to.deep.equal(['early', []]);
    });
  }

  it('never into the network of the process’s parent, where that is another than the node’s', async () => {
    const node = nodeWith(7);
    node.table.get(SHIM)!.network = 7;
    expect((await enter(node)).loads).to.deep.equal([]);
  });

  it('not when the process id was given to another while it was opened', async () => {
    for (const change of [{ startTime: 600 }, { uid: OTHER }]) {
      const node = nodeWith(7);
      node.onOpen = (pid) => void Object.assign(node.table.get(pid)!, change);
      const { said, loads } = await enter(node);
      expect([said.result, loads], JSON.stringify(change)).to.deep.equal(['early', []]);
    }
    const gone = nodeWith(7);
    gone.table.delete(100);
    expect((await enter(gone)).said.result).to.equal('early');
  });

  it('or it is said what is missing', async () => {
    const node = nodeWith(7);
    node.refusal = 'EACCES';
    const { said } = await enter(node);
    expect(said).to.deep.include({ result: 'failed' });
    expect('why' in said && said.why).to.match(/SYS_PTRACE.*AppArmor/);
    const nft = await enter(nodeWith(7), { code: 1, stderr: 'Error: Could not process rule: No such file or directory\n', failure: '' });
    expect('why' in nft.said && nft.said.why).to.match(/nf_tables.*\(nft said: Error: Could not process rule/);
  });
});
