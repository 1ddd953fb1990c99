// `weft run` from its start to its end: a real mesh of the shop, with real processes.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Report } from '#cli/run/report.ts';
import { type RunProcess, shopDirectory, startRun, useRoutes } from '#test/support/run-process.ts';

const CHARGE = 'payment\\.PaymentService/Charge';

describe('weft run', function () {
  // Seven processes start from sources on a machine that runs other tests too.
  this.timeout(120_000);
  let run: RunProcess;

  before(function () {
    if (process.platform !== 'linux') this.skip();
  });
  afterEach(() => run.remove());

  async function gone(): Promise<void> {
    while (run.processes().length > 0) await sleep(20);
    while (readdirSync(run.temporary).length > 0) await sleep(20);
  }

  it('splits a canary over mTLS, follows the directory, restarts what is killed, reports and leaves nothing', async () => {
    const directory = shopDirectory();
    run = startRun(directory, '--log-level', 'info');
    await run.heard(/4 of 4 pods ready/);
    await run.heard(new RegExp(`${CHARGE} \\d+/s ok 100 % .* mTLS \\| payment-v1 (8[89]|9[012])\\.\\d %`));

    // The tour: another weight in the file is another split on the wire.
    let from = run.said().length;
    useRoutes(directory, 'v2-only.yaml');
    await run.heard(new RegExp(`${CHARGE} .* \\| (payment-v1 0 % +)?payment-v2 100 %`), from);

    // A broken file is said with its place, and what was good stays.
    from = run.said().length;
    writeFileSync(join(directory, 'routes.yaml'), 'apiVersion: gateway.networking.k8s.io/v1\nkind: [GRPCRoute\n');
    await run.heard(/routes\.yaml:\d+:\d+/, from);
    from = run.said().length;
    await run.heard(new RegExp(`${CHARGE} [1-9]\\d*/s ok 100 % .*payment-v2 100 %`), from);
    useRoutes(directory, 'canary-50.yaml');
    await run.heard(new RegExp(`${CHARGE} .* \\| payment-v1 (4[89]|5[012])\\.\\d %`), from);

    // A killed sidecar comes back where it was.
    from = run.said().length;
    const sidecars = run.processes().filter(({ command }) => command.includes('sidecar'));
    expect(sidecars).to.have.length(4);
    process.kill(sidecars[0].pid, 'SIGKILL');
    const [, restarted] = await run.heard(/(\S+) sidecar was ended by SIGKILL/, from);
    await run.heard(new RegExp(`${restarted} ready again`), from);

    // A killed container too.
    from = run.said().length;
    process.kill(run.processes().find(({ command }) => command.includes('payment.ts'))!.pid, 'SIGKILL');
    const [, container] = await run.heard(/(\S+) payment was ended by SIGKILL/, from);
    await run.heard(new RegExp(`${container} ready again`), from);

    // Fewer replicas, then none of the kind.
    from = run.said().length;
    const manifest = readFileSync(join(directory, 'payment.yaml'), 'utf8');
    writeFileSync(join(directory, 'payment.yaml'), manifest.replace('replicas: 2', 'replicas: 1'));
    await run.heard(/payment-v1-\S+ stopped/, from);

    const { code } = await run.end('SIGTERM');
    expect(code).to.equal(0);
    const report: Report = JSON.parse(run.stdout());
    expect(report.mtls).to.equal(true);
    expect(report.pods.filter(({ ready }) => ready)).to.have.length(3);
    expect(report.pods.reduce((sum, { restarts }) => sum + restarts, 0)).to.be.at.least(1);
    expect(report.routes[0].conditions.map(({ type, status }) => `${type}=${status}`)).to.include.members([
      'Accepted=True',
      'ResolvedRefs=True',
    ]);
    expect(report.calls.filter(({ method }) => method.endsWith('/History') || method.endsWith('/Reconcile')).length).to.be.at.least(2);
    expect(report.ok / report.requests).to.be.above(0.8);
    await gone();
  });

  it('ends by itself, beside another run on the same machine', async () => {
    run = startRun(shopDirectory());
    const other = startRun(shopDirectory(), '--for', '1s', '--no-view');
    try {
      const over = /stopped after (\d+) calls, (\d+) of them OK/;
      const [, otherCalls, otherOk] = await other.heard(over);
      expect(otherOk).to.equal(otherCalls);
      // How many calls a second has room for is the machine's affair; that there are some is waited for.
      await run.heard(new RegExp(`${CHARGE} [1-9]\\d*/s ok 100 % .* mTLS`));
      expect((await run.end('SIGTERM')).code).to.equal(0);
      const [, calls, ok] = await run.heard(over);
      expect(Number(calls)).to.be.above(0);
      expect(ok).to.equal(calls);
      const networks = [run, other].map((one) => /ready on (127\.\d+)\./.exec(one.said())![1]);
      expect(networks[0]).to.not.equal(networks[1]);
      expect(other.said()).to.not.include('PaymentService/Charge');
      await gone();
    } finally {
      other.remove();
    }
  });

  it('leaves nothing when it is killed with SIGKILL', async () => {
    run = startRun(shopDirectory());
    await run.heard(/payment-v1-\S+ ready/);
    expect(run.processes().length).to.be.above(2);
    await run.end('SIGKILL');
    await gone();
  });

  it('names a container that cannot stay up, and one that listens on all addresses, with the others running', async () => {
    const directory = shopDirectory((text) =>
      text.replace(
        'name: POD_IP\n              valueFrom:\n                fieldRef:\n                  fieldPath: status.podIP\n          readinessProbe',
        'name: POD_IP\n              value: "0.0.0.0"\n          readinessProbe',
      ),
    );
    run = startRun(directory);
    const [clash] = await run.heard(/payment-v1-\S+ payment cannot run: .*/);
    expect(clash).to.match(/port 8080 is also payment-v1-\S+ sidecar's, on 127\.\d+\.\d+\.1: .*listen on status\.podIP/);
    await run.heard(/payment-v2-\S+ ready/);
    const { code } = await run.end('SIGINT');
    expect(code).to.equal(0);
    const report: Report = JSON.parse(run.stdout());
    expect(report.problems.join('\n')).to.include('status.podIP');
    await gone();
  });
});
