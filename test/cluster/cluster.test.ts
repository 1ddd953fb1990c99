// The parts of the test cluster that need no cluster: its network's plan, its processes' records, its certificates,
// what it misses.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { until } from '../support/until.ts';
import { COMPONENTS, commandOf, type Places } from './configuration.ts';
import { exec, must } from './exec.ts';
import { networkName, planNetwork } from './network.ts';
import { missingPackages } from './packages.ts';
import { createIssuer, kubeconfig } from './pki.ts';
import { isRunning, lastLines, recordOf, records, startProcess, statOf, stopProcess } from './processes.ts';

describe('the network of a test cluster', () => {
  it('has another name and range for another clone, the same for the same', () => {
    const [one, other] = [planNetwork('/home/a/weft/.cluster', []), planNetwork('/home/b/weft/.cluster', [])];
    expect(one).to.deep.equal(planNetwork('/home/a/weft/.cluster', []));
    expect(one.name).to.not.equal(other.name);
    expect(one.nodeAddress).to.not.equal(other.nodeAddress);
    expect(one.name).to.equal(networkName('/home/a/weft/.cluster'));
    // The kernel takes no longer name of a link.
    expect(one.name.length).to.be.at.most(15);
  });

  it('takes the next range when another link has its own', () => {
    const wish = planNetwork('/w', []);
    const next = planNetwork('/w', [wish.hostAddress]);
    expect(next.hostAddress).to.not.equal(wish.hostAddress);
    expect(next.name).to.equal(wish.name);
    const all = Array.from({ length: 250 }, (_, i) => `10.77.${i + 1}.9`);
    expect(() => planNetwork('/w', all)).to.throw('all ranges 10.77.1.0/24 to 10.77.250.0/24 are taken');
  });
});

describe('processes of a test cluster', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'weft-processes-'));
  });
  afterEach(async () => {
    for (const { name } of records(directory)) await stopProcess(directory, name, 'SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  const node = (script: string) => [process.execPath, '-e', script];

  it('are recorded, write to their log and can be ended', async () => {
    const record = await startProcess(directory, 'one', node('console.log("hello", process.env.WORD); setInterval(() => {}, 1000)'), {
      WORD: 'you',
    });
    expect(recordOf(directory, 'one')).to.deep.equal(record);
    expect(isRunning(record)).to.equal(true);
    await until(() => lastLines(directory, 'one') === 'hello you', 'it has said something');
    await stopProcess(directory, 'one');
    expect(isRunning(record)).to.equal(false);
    expect(recordOf(directory, 'one')).to.equal(undefined);
  });

  it('whose number went to another program are left alone', async () => {
    const record = await startProcess(directory, 'one', node('setInterval(() => {}, 1000)'));
    const stale = { ...record, startTime: '1' };
    writeFileSync(path.join(directory, 'run', 'stale.json'), JSON.stringify({ ...stale, name: 'stale' }));
    expect(isRunning(stale)).to.equal(false);
    await stopProcess(directory, 'stale');
    expect(isRunning(record)).to.equal(true);
  });

  it('that cannot be started are reported', async () => {
    let message = '';
    await startProcess(directory, 'none', ['/nowhere/program']).catch((error: Error) => (message = error.message));
    expect(message).to.match(/^none cannot be started: .*ENOENT/);
  });

  it('of ours are seen in /proc', () => {
    expect(statOf(process.pid)?.parent).to.equal(process.ppid);
    expect(statOf(2 ** 22 + 1)).to.equal(undefined);
  });
});

describe('commands', () => {
  it('give their output, their exit code, or why they did not start', async () => {
    expect(await exec('cat', [], { input: 'in' })).to.deep.equal({ stdout: 'in', stderr: '', code: 0 });
    expect((await exec(process.execPath, ['-e', 'process.exit(3)'])).code).to.equal(3);
    expect((await exec('/nowhere/program', [])).code).to.equal(127);
    expect((await exec(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { timeoutMs: 300 })).code).to.equal(137);
    let message = '';
    await must(process.execPath, ['-e', 'console.error("why"); process.exit(2)']).catch((error: Error) => (message = error.message));
    expect(message).to.match(/exit code 2: why$/);
  });
});

describe('certificates of a test cluster', () => {
  it('are signed by its authority for the names that were asked for', async () => {
    const issuer = await createIssuer();
    const { certificate } = await issuer.issue({ subject: 'CN=admin, O=system:masters', dns: ['kubernetes.default'], ips: ['10.96.0.1'] });
    const [leaf, root] = [new X509Certificate(certificate), new X509Certificate(issuer.certificate)];
    expect(leaf.verify(root.publicKey)).to.equal(true);
    expect(leaf.checkIssued(root)).to.equal(true);
    expect(leaf.checkHost('kubernetes.default')).to.equal('kubernetes.default');
    expect(leaf.checkIP('10.96.0.1')).to.equal('10.96.0.1');
    // Kubernetes reads users and groups from these.
    expect(leaf.subject.split('\n')).to.have.members(['CN=admin', 'O=system:masters']);
    expect([leaf.ca, root.ca]).to.deep.equal([false, true]);
  });

  it('are in the kubeconfig', () => {
    const config = JSON.parse(kubeconfig('https://10.77.1.2:6443', 'CA', { certificate: 'C', key: 'K' }));
    expect(config.clusters[0].cluster).to.deep.equal({ server: 'https://10.77.1.2:6443', 'certificate-authority-data': 'Q0E=' });
    expect(config.users[0].user).to.deep.equal({ 'client-certificate-data': 'Qw==', 'client-key-data': 'Sw==' });
  });
});

describe('what a test cluster is started with', () => {
  it('is all in its own directory', () => {
    const binaries = {
      'kube-apiserver': 'a',
      'kube-controller-manager': 'b',
      'kube-scheduler': 'c',
      'kube-proxy': 'd',
      kubelet: 'e',
      etcd: 'f',
    };
    const places: Places = { directory: '/here', nodeAddress: '10.77.1.2', podNetwork: 'weft-1', podCgroups: 'weft-1', binaries };
    for (const component of COMPONENTS) {
      const foreign = commandOf(component, places).filter((argument) => /(^|=)\//.test(argument) && !/(^|=)\/here\//.test(argument));
      expect(foreign, component).to.deep.equal([]);
    }
  });

  it('names the packages that are missing', () => {
    expect(missingPackages(() => true)).to.deep.equal([]);
    expect(missingPackages((file) => !file.endsWith('/nft') && !file.includes('/cni/'))).to.deep.equal([
      'containernetworking-plugins',
      'nftables',
    ]);
  });
});
