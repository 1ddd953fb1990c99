// What Kubernetes promises of a Service, beside a caller without a mesh: session affinity, its other addresses, and
// connecting where nothing is.
import { expect } from 'chai';
import type { Call, Caller } from '../support/caller.ts';
import { eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, GRPC_PORT, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-services';
const OUTSIDE = 'e2e-services-outside';
const STRICT = { 'weft.dev/mtls': 'strict' };
/** For documentation (RFC 5737): outside of every network of the test cluster. */
const EXTERNAL_IP = '192.0.2.46';
const LOAD_BALANCER_IP = '198.51.100.46';
const NODE_PORT = 30_746;
const HOST_PORT = 31_046;
const PLAIN_NODE_PORT = 30_747;
const IDENTITY = 'x-forwarded-client-cert';
const ROUTED = 'x-routed';
const AFFINITY_SECONDS = 4;

interface NodeItem extends Item {
  status: { addresses: { type: string; address: string }[] };
}

describe('a Service as Kubernetes promises it', () => {
  const stage = scene({ [NS]: INJECT, [OUTSIDE]: {} });
  let meshed: Caller;
  let unmeshed: Caller;
  let node: string;

  before(async function () {
    this.timeout(300_000);
    const affinity = (timeoutSeconds: number) => ({
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds } },
    });
    await stage.objects.apply(
      echo({ namespace: NS, name: 'many', replicas: 3 }),
      service(NS, 'sticky', { version: 'many' }, affinity(10_800)),
      service(NS, 'briefly', { version: 'many' }, affinity(AFFINITY_SECONDS)),
      echo({ namespace: NS, name: 'strict', labels: STRICT }),
      service(
        NS,
        'exposed',
        { version: 'strict' },
        {
          type: 'LoadBalancer',
          externalIPs: [EXTERNAL_IP],
          ports: [{ name: 'grpc', port: GRPC_PORT, nodePort: NODE_PORT, appProtocol: 'kubernetes.io/h2c' }],
        },
      ),
      grpcRoute(NS, 'exposed', 'exposed', [{ filters: [answerHeader(ROUTED, 'yes')], backendRefs: [backend('exposed')] }]),
      echo({
        namespace: OUTSIDE,
        name: 'on-node',
        container: { ports: [{ containerPort: 8080, hostPort: HOST_PORT }] },
      }),
      service(
        OUTSIDE,
        'plain',
        { version: 'on-node' },
        { type: 'NodePort', ports: [{ name: 'http', port: 80, targetPort: 8080, nodePort: PLAIN_NODE_PORT }] },
      ),
      service(
        NS,
        'empty',
        { version: 'nobody' },
        {
          ports: [
            { name: 'tcp', port: 9090 },
            { name: 'grpc', port: GRPC_PORT, appProtocol: 'kubernetes.io/h2c' },
            { name: 'other', port: 8000 },
          ],
        },
      ),
    );
    [meshed, unmeshed] = await Promise.all([
      stage.caller(NS),
      stage.caller(OUTSIDE, 'outsider'),
      stage.objects.rolledOut(NS, 'many', 'strict'),
      stage.objects.rolledOut(OUTSIDE, 'on-node'),
    ]);
    const status = { loadBalancer: { ingress: [{ ip: LOAD_BALANCER_IP, ipMode: 'VIP' }] } };
    await stage.objects.patch('service', 'exposed', NS, { status }, 'merge', ['--subresource=status']);
    const [item] = await stage.objects.list<NodeItem>('nodes');
    node = item!.status.addresses.find(({ type }) => type === 'InternalIP')!.address;
  });

  describe('with affinity', () => {
    const hosts = async (caller: Caller, to: string, calls: number): Promise<string[]> => {
      const seen = new Set<string>();
      for (let i = 0; i < calls; i++) {
        const { hostname, ...rest } = await caller.grpc({ to, fresh: true });
        expect(hostname, JSON.stringify(rest)).to.be.a('string');
        seen.add(hostname!);
      }
      return [...seen];
    };

    it('keeps 20 of 20 calls at one pod, meshed as unmeshed', async () => {
      for (const caller of [unmeshed, meshed]) expect(await hosts(caller, `sticky.${NS}:${GRPC_PORT}`, 20)).to.have.length(1);
    });

    it('keeps connections of TCP and HTTP/1.1 at one pod, each port by itself', async () => {
      for (const caller of [unmeshed, meshed]) {
        const tcp = new Set<string>();
        const http = new Set<string>();
        for (let i = 0; i < 10; i++) {
          const { received } = await caller.tcp({ host: `sticky.${NS}`, port: 9090, send: 'hello\n', until: 'hello' });
          tcp.add(/Hostname=(\S+)/.exec(received)![1]!);
          http.add(/Hostname=(\S+)/.exec((await caller.http({ url: `http://sticky.${NS}/` })).body)![1]!);
        }
        expect([tcp.size, http.size]).to.deep.equal([1, 1]);
      }
    });

    it('goes on with another pod when its pod has gone, and keeps that one', async () => {
      const [first] = await hosts(meshed, `sticky.${NS}:${GRPC_PORT}`, 1);
      await stage.objects.delete('pod', first!, NS);
      const next = await eventually('a call to another pod', async () => {
        const [now] = await hosts(meshed, `sticky.${NS}:${GRPC_PORT}`, 1);
        return now !== first && now;
      });
      expect(await hosts(meshed, `sticky.${NS}:${GRPC_PORT}`, 10)).to.deep.equal([next]);
    });

    it('chooses anew when no call came for the time', async () => {
      const to = `briefly.${NS}:${GRPC_PORT}`;
      expect(await hosts(meshed, to, 10)).to.have.length(1);
      const seen = new Set<string>();
      await eventually(
        'a call to another pod after a pause',
        async () => {
          for (const host of await hosts(meshed, to, 1)) seen.add(host);
          await new Promise((resolve) => setTimeout(resolve, (AFFINITY_SECONDS + 0.5) * 1000));
          return seen.size > 1;
        },
        120_000,
      );
    });
  });

  describe('by its other addresses', () => {
    const places = (): [string, string][] => [
      ['externalIPs', `${EXTERNAL_IP}:${GRPC_PORT}`],
      ['the load balancer', `${LOAD_BALANCER_IP}:${GRPC_PORT}`],
      ['a node port', `${node}:${NODE_PORT}`],
    ];

    it('takes calls of meshed pods under STRICT, with identity, and by its routes', async () => {
      for (const [what, to] of places()) {
        const call: Call = { to, fresh: true };
        const answer = await meshed.until(`an answer by ${what}`, call, ({ grpcStatus }) => grpcStatus === 0);
        expect(answer.headers[ROUTED], what).to.equal('yes');
        expect(answer.seen[IDENTITY]?.join(), what).to.contain(`spiffe://cluster.local/ns/${NS}/sa/default`);
      }
    });

    it('takes them by way of a pod that is permissive, and of unmeshed callers too', async () => {
      await stage.objects.patch('deployment', 'strict', NS, {
        spec: { template: { metadata: { labels: { 'weft.dev/mtls': 'permissive' } } } },
      });
      await stage.objects.rolledOut(NS, 'strict');
      for (const [what, to] of places()) {
        const call: Call = { to, fresh: true };
        const inside = await meshed.until(`a meshed answer by ${what}`, call, ({ grpcStatus }) => grpcStatus === 0);
        expect(inside.seen[IDENTITY]?.join(), what).to.contain(`ns/${NS}/sa/default`);
        expect(inside.headers[ROUTED], what).to.equal('yes');
        const outside = await unmeshed.until(`an unmeshed answer by ${what}`, call, ({ grpcStatus }) => grpcStatus === 0);
        expect(outside.seen, what).not.to.have.property(IDENTITY);
      }
    });

    it('takes them by the load balancer from pods in its source ranges', async () => {
      const call: Call = { to: `${LOAD_BALANCER_IP}:${GRPC_PORT}`, fresh: true };
      await stage.objects.patch('service', 'exposed', NS, { spec: { loadBalancerSourceRanges: ['10.244.0.0/16'] } });
      const answer = await meshed.until('an answer', call, ({ grpcStatus }) => grpcStatus === 0);
      expect(answer.headers[ROUTED]).to.equal('yes');
      await stage.objects.patch('service', 'exposed', NS, { spec: { loadBalancerSourceRanges: ['192.0.2.0/24'] } });
      for (const caller of [unmeshed, meshed])
        await eventually('no answer', async () => (await caller.grpc({ ...call, timeoutMs: 2000 })).grpcStatus !== 0);
    });

    it('leaves a pod’s hostPort at the same node alone, and node ports of Services without a mesh', async () => {
      for (const port of [HOST_PORT, PLAIN_NODE_PORT]) {
        for (const caller of [unmeshed, meshed]) {
          const { status, body } = await caller.http({ url: `http://${node}:${port}/` });
          expect(status, `port ${port}: ${body}`).to.equal(200);
        }
      }
    });
  });

  describe('where nothing is', () => {
    it('resets a connection to a TCP port without endpoints at once', async () => {
      const address = `empty.${NS}`;
      expect((await unmeshed.tcp({ host: address, port: 9090, timeoutMs: 2000 })).error).to.equal('ECONNREFUSED');
      // No octet is sent, and none is waited for.
      await eventually('a reset', async () => (await meshed.tcp({ host: address, port: 9090, timeoutMs: 2000 })).error === 'ECONNRESET');
    });

    it('resets one to a port where nothing is declared, and answers calls with the reason', async () => {
      expect((await meshed.tcp({ host: `empty.${NS}`, port: 8000, timeoutMs: 2000 })).error).to.equal('ECONNRESET');
      for (const port of [GRPC_PORT, 8000]) {
        const { grpcStatus, message } = await meshed.grpc({ to: `empty.${NS}:${port}`, fresh: true });
        expect(grpcStatus).to.equal(14);
        expect(message).to.contain('no_endpoints');
      }
    });

    it('resets one to a port that the Service does not have', async () => {
      expect((await meshed.tcp({ host: `sticky.${NS}`, port: 81, timeoutMs: 2000 })).error).to.equal('ECONNRESET');
    });

    it('resets one to a pod’s closed port', async () => {
      const [pod] = await stage.objects.list<PodItem>('pods', NS, 'version=many');
      const at = { host: pod!.status.podIP!, port: 9999, timeoutMs: 5000 };
      expect((await unmeshed.tcp(at)).error).to.be.oneOf(['ECONNREFUSED', 'ECONNRESET']);
      expect((await meshed.tcp({ ...at, send: 'hello\n' })).error).to.equal('ECONNRESET');
    });
  });
});
