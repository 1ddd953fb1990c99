// The agent as a program: what it follows, and when it is ready.
import { expect } from 'chai';
import type { Logger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { type NodeAgentDeps, startNodeAgent } from '#node-agent/program.ts';
import { readNodeAgentSettings } from '#node-agent/settings.ts';
import { FakeApi } from '#test/support/fake-api.ts';
import { until } from '#test/support/until.ts';
import { AGENT, FakeNode, SHIM } from './node.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT } as unknown as Logger;
const SETTINGS = { node: 'node1', logLevel: 'off', logFormat: 'json', healthPort: 0 } as const;

async function start(change: Partial<NodeAgentDeps> = {}) {
  const client = new FakeApi();
  const queries: unknown[] = [];
  const watch = client.watch.bind(client);
  client.watch = (path, options) => {
    queries.push(options.query.fieldSelector);
    return watch(path, options);
  };
  const deps = { client, processes: new FakeNode(), pid: AGENT, parent: SHIM, load: async () => ({ code: 0, stderr: '', failure: '' }) };
  const time = { timers: systemTimers, monotonicMs: () => performance.now(), random: Math.random, log: SILENT };
  const agent = await startNodeAgent(SETTINGS, { ...deps, ...time, ...change });
  const readyz = async () => {
    const answer = await fetch(`http://127.0.0.1:${agent.healthPort}/readyz`);
    return `${answer.status} ${(await answer.text()).trim()}`;
  };
  return { agent, readyz, queries };
}

describe('the node agent', () => {
  it('is ready when it knows the pods of its node, and follows no others', async () => {
    const { agent, readyz, queries } = await start();
    await until(async () => (await readyz()) === '200 ok', 'it is ready');
    await until(() => queries.length > 0, 'it watches');
    expect(queries[0]).to.equal('spec.nodeName=node1');
    await agent.stop();
  });

  it('is not ready without hostPID, or where it may not look at the node’s processes, and says so', async () => {
    const alone = await start({ pid: 1 });
    expect(await alone.readyz()).to.match(/^503 .*hostPID/);
    const processes = new FakeNode();
    processes.network = () => {
      throw Object.assign(new Error('refused'), { code: 'EACCES' });
    };
    const refused = await start({ processes });
    expect(await refused.readyz()).to.match(/^503 .*EACCES.*SYS_PTRACE/);
    await Promise.all([alone.agent.stop(), refused.agent.stop()]);
  });

  it('reads its settings, and names all mistakes', () => {
    expect(readNodeAgentSettings({ WEFT_NODE_NAME: 'node1' })).to.deep.equal({
      settings: { node: 'node1', logLevel: 'info', logFormat: 'json', healthPort: 15014 },
    });
    const wrong = readNodeAgentSettings({ WEFT_LOG_LEVEL: 'loud', WEFT_LOG_FORMAT: 'xml' });
    expect('problems' in wrong && wrong.problems.map((problem) => problem.split(' ')[0])).to.deep.equal([
      'WEFT_NODE_NAME',
      'WEFT_LOG_LEVEL',
      'WEFT_LOG_FORMAT',
    ]);
  });
});
