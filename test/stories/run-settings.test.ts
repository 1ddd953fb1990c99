// `weft run` gives a manifest the meaning that it has on a cluster: opaque ports, ports past the sidecar, readiness.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type RunProcess, startRun } from '../support/run-process.ts';
import { until } from '../support/until.ts';

const doc = (kind: string, name: string, spec: object, meta: object = {}) =>
  JSON.stringify({ apiVersion: 'v1', kind, metadata: { name, ...meta }, spec });
const pod = (name: string, container: object, annotations: object = {}) =>
  doc('Pod', name, { containers: [{ name: 'c', ...container }] }, { labels: { app: name }, annotations });

/** Speaks first on each of the ports. */
const SPEAKS_FIRST = `
  import net from 'node:net';
  for (const port of process.argv.slice(2).map(Number))
    net.createServer((socket) => socket.on('error', () => {}).write('220 from ' + (socket.localAddress) + ' port ' + port + '\\r\\n')).listen(port, process.env.POD_IP);
`;
/** Prints what each port of the Service "db" says to a client that is silent. */
const LISTENS = `
  import net from 'node:net';
  for (const port of process.argv.slice(2).map(Number)) {
    const dial = () => {
      const socket = net.connect(port, process.env.DB_SERVICE_HOST);
      socket.on('data', (text) => console.log('GREETING ' + port + ': ' + String(text).trim()));
      socket.on('error', () => {}).on('close', () => setTimeout(dial, 200));
    };
    dial();
  }
  setInterval(() => {}, 1000);
`;

describe('a manifest in weft run', function () {
  this.timeout(120_000);
  let run: RunProcess;
  let directory: string;

  before(function () {
    if (process.platform !== 'linux') this.skip();
  });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-story-'));
    writeFileSync(join(directory, 'speaks.mjs'), SPEAKS_FIRST);
    writeFileSync(join(directory, 'listens.mjs'), LISTENS);
  });
  afterEach(() => {
    run?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  function start(...documents: string[]): void {
    writeFileSync(join(directory, 'all.yaml'), documents.join('\n---\n'));
    run = startRun(directory, '--no-view');
  }

  /** Pods are numbered by name. Connections of a pod's sidecar by what they were taken for, from its metrics. */
  async function detections(podNumber: number): Promise<string[]> {
    const [, prefix] = await run.heard(/ready on (127\.\d+)\./);
    const page = await (await fetch(`http://${prefix}.${podNumber}.1:15020/metrics`)).text();
    return [...page.matchAll(/^weft_protocol_detections_total\{direction="outbound",outcome="(\w+)"\} [1-9]/gm)].map((match) => match[1]);
  }

  it('passes ports that are opaque by default, or by an annotation, without waiting for the client', async () => {
    const ports = [
      { name: 'db', port: 3306, targetPort: 13306 },
      { name: 'odd', port: 7433, targetPort: 17433 },
    ];
    start(
      doc('Service', 'db', { selector: { app: 'db' }, ports }),
      pod('db', { command: ['node', 'speaks.mjs', '13306', '17433'], ports: [{ containerPort: 13306 }, { containerPort: 17433 }] }),
      pod('byname', { command: ['node', 'listens.mjs', '3306'] }),
      pod('byword', { command: ['node', 'listens.mjs', '7433'] }, { 'weft.dev/opaque-ports': '7433' }),
    );
    await run.heard(/GREETING 3306: 220 from \S+ port 13306/);
    await run.heard(/GREETING 7433: 220 from \S+ port 17433/);
    expect(await detections(1)).to.deep.equal(['assumed']);
    expect(await detections(2)).to.deep.equal(['assumed']);
  });

  it('leads past the sidecar where the pod skips a port, also under strict, and says what is left out or nearly right', async () => {
    start(
      doc('Service', 'db', { selector: { app: 'db' }, ports: [{ name: 'mysql', port: 9999 }] }),
      doc(
        'Pod',
        'db',
        { containers: [{ name: 'c', command: ['node', 'speaks.mjs', '9999'], ports: [{ containerPort: 9999 }] }] },
        {
          labels: { app: 'db', 'weft.dev/mtls': 'strict' },
          annotations: { 'weft.dev/skip-inbound-ports': '9990-9999', 'weft.dev/proxy-cpu-limit': '1' },
        },
      ),
      pod('client', { command: ['node', 'listens.mjs', '9999'] }),
      JSON.stringify({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'GRPCRoute',
        metadata: { name: 'near' },
        spec: { parentRefs: [{ kind: 'Service', name: 'db' }], rules: [{ backendRefs: [{ name: 'db', port: 9999 }] }] },
      }),
    );
    await run.heard(/GREETING 9999: 220 from 127\.\d+\.2\.2 port 9999/);
    await run.heard(/Pod default\/db: weft\.dev\/proxy-cpu-limit has no effect here/);
    await run.heard(/GRPCRoute default\/near: parentRefs\[0\], .* did you mean \{group: "", kind: Service, name: db\}\?/);
    const [, prefix] = await run.heard(/ready on (127\.\d+)\./);
    const inbound = async () => (await fetch(`http://${prefix}.2.1:15020/metrics`)).text();
    expect(await inbound()).to.not.match(/^weft_protocol_detections_total\{direction="inbound".*[1-9]$/m);
  });

  it('is ready when its readiness probes say so, and takes no traffic while they do not', async () => {
    const gate = join(directory, 'gate');
    const WEB = `
      import { existsSync } from 'node:fs';
      import http from 'node:http';
      http.createServer((request, response) => response.writeHead(existsSync(process.argv[2]) ? 200 : 503).end('gate')).listen(8080, process.env.POD_IP);
    `;
    writeFileSync(join(directory, 'web.mjs'), WEB);
    const times = { periodSeconds: 1, failureThreshold: 1 };
    const web = { command: ['node', 'web.mjs', gate], ports: [{ name: 'web', containerPort: 8080 }] };
    start(
      pod('asked', { ...web, readinessProbe: { httpGet: { port: 'web', path: '/' }, ...times } }),
      pod('ordered', { command: ['sleep', '1000'], readinessProbe: { exec: { command: ['test', '-f', gate] }, ...times } }),
      pod('lost', { ...web, readinessProbe: { tcpSocket: { port: 'grpc' } }, livenessProbe: { exec: { command: ['false'] } } }),
      pod('plain', { command: ['sleep', '1000'] }),
    );
    await run.heard(/plain ready/);
    await run.heard(/Pod default\/lost: livenessProbe is not asked here/);
    await run.heard(/asked c is not ready: http:\/\/\S+: HTTP 503: gate/);
    expect(run.said()).to.not.match(/(asked|ordered) ready/);
    writeFileSync(gate, '');
    await run.heard(/asked ready/);
    await run.heard(/ordered ready/);
    rmSync(gate);
    await run.heard(/ordered c is not ready: test: it ended with code 1/);
    await until(() => run.said().split('asked c is not ready').length > 2, 'the probe over HTTP fails again');
    writeFileSync(gate, '');
    await run.heard(/asked ready again/);
    await run.heard(/lost c is not ready: container declares no port named "grpc"/);
    const { code } = await run.end('SIGTERM');
    expect(code).to.equal(0);
    const { pods } = JSON.parse(run.stdout()) as { pods: { name: string; ready: boolean }[] };
    expect(pods.find(({ name }) => name === 'lost')!.ready).to.equal(false);
  });
});
