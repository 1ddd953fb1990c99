// Captured connections to places that are a Service's without being its ClusterIP, and to ports that it does not have.
import net from 'node:net';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { PodAddressSchema, Protocol, ServiceAddressSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { PLACE_FLAGS, PlaceSet } from '#core/contract/places.ts';
import { silentLogger } from '#core/program/log.ts';
import { Buffers } from '#sidecar/http/buffers.ts';
import { DownstreamConnections } from '#sidecar/http/downstream-connections.ts';
import { Listener } from '#sidecar/link/listener.ts';
import type { OriginalDestination } from '#sidecar/link/original-dst.ts';
import { AddressIndex } from '#sidecar/outbound/address-index.ts';
import { CONFIG_WAIT_MS } from '#sidecar/outbound/config-wait.ts';
import { DirectPorts } from '#sidecar/outbound/direct-ports.ts';
import { capturedOutbound } from '#sidecar/outbound/outbound.ts';
import { SERVER_CODECS } from '#sidecar/program/codecs.ts';
import type { CompiledPort } from '#sidecar/route/records.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { backend, portOf, rule, TestProxy } from '../../support/proxy.ts';
import { until } from '../../support/until.ts';

const NODE = '192.168.7.1';
const POD = '10.244.0.7';

describe('captured connections to places of Services', () => {
  let timers: ManualTimers;
  let isConnected: boolean;
  let failures: { service: string; error: string; reason: string }[];
  let current: CompiledPort | null;
  let addresses: AddressIndex;
  let surroundings: TestProxy;
  let connections: DownstreamConnections;
  let directs: DirectPorts;
  let listener: Listener | undefined;
  let client: net.Socket;

  beforeEach(async () => {
    timers = new ManualTimers();
    isConnected = true;
    failures = [];
    current = null;
    addresses = new AddressIndex();
    surroundings = await TestProxy.start({ endpoints: [] });
    connections = new DownstreamConnections(surroundings.clock, Date.now, new Buffers(), SERVER_CODECS);
    directs = new DirectPorts(surroundings.proxy.upstreams, { ask: () => {}, drop: () => {}, connected: () => isConnected });
    addresses.take(
      create(ServiceAddressSchema, {
        namespace: 'shop',
        name: 'cart',
        addresses: ['10.96.0.10'],
        ports: [80, 443],
        meshed: true,
        loadBalancerAddresses: ['203.0.113.1'],
        externalAddresses: ['192.0.2.1', POD],
        nodePorts: [30080, 0],
      }),
    );
  });

  afterEach(() => {
    client.destroy();
    listener?.close();
    connections.destroy();
    surroundings.close();
  });

  /** How the connection ended: '' or the error's code. */
  async function connect(to: OriginalDestination): Promise<{ ended: () => string | null }> {
    const { clock, proxy } = surroundings;
    const context = {
      proxy,
      credentials: { tlsClientContext: () => null, trustDomain: () => 'cluster.local' },
      connections,
      log: silentLogger,
      timers,
      wallClock: Date.now,
      port: () => ({ current }),
      want: async () => {},
      tcp: {
        opened: () => () => {},
        failed: ({ service }: { service: { key: string } }, error: string, reason: string) =>
          failures.push({ service: service.key, error, reason }),
      },
      detected: () => {},
      closed: () => {},
      connected: () => isConnected,
      isOpaque: () => false,
      hairpin: () => undefined,
      addresses,
      directs,
      isOutside: () => false,
    };
    listener = new Listener({ address: '127.0.0.1', port: 0 }, () => capturedOutbound(context, to), clock, timers);
    await listener.listen();
    let ended: string | null = null;
    client = net.connect({ host: '127.0.0.1', port: listener.port });
    client.on('error', (error: NodeJS.ErrnoException) => (ended = error.code ?? error.message));
    client.on('close', () => (ended ??= ''));
    client.resume();
    return { ended: () => ended };
  }

  /** Sends what is no HTTP, and waits until the connection was refused under the name of what it was for. */
  async function refusedAs(): Promise<string> {
    client.write('EHLO x\r\n');
    await until(() => {
      timers.advance(CONFIG_WAIT_MS);
      return failures.length > 0;
    }, 'the connection is refused');
    return failures[0].service;
  }

  const isAt = (address: string, fields: { pod?: string; node?: boolean; identity?: string } = {}) =>
    directs.take(create(PodAddressSchema, { address, ...fields }));
  const asked = () => until(() => directs.addresses().length === 1, 'the address is asked about');

  for (const [what, address] of [
    ['the address of its load balancer', '203.0.113.1'],
    ['one of its externalIPs', '192.0.2.1'],
  ] as const) {
    it(`are the Service's at ${what}`, async () => {
      await connect({ address, port: 443 });
      await asked();
      isAt(address);
      expect(await refusedAs()).to.equal('shop/cart:443');
    });

    it(`are the Service's at ${what}, also where no answer comes, and at once while the control plane is away`, async () => {
      isConnected = false;
      await connect({ address, port: 80 });
      await asked();
      expect(await refusedAs()).to.equal('shop/cart:80');
    });
  }

  it("are the pod's where a Service claims the address of a pod in its externalIPs", async () => {
    await connect({ address: POD, port: 80 });
    await asked();
    isAt(POD, { pod: 'bank/vault', identity: 'spiffe://cluster.local/ns/bank/sa/vault' });
    expect(await refusedAs()).to.equal(`${POD}:80`);
  });

  it("are the Service's at its node port on any node's address, by the Service's own port", async () => {
    await connect({ address: NODE, port: 30080 });
    await asked();
    isAt(NODE, { node: true });
    expect(await refusedAs()).to.equal('shop/cart:80');
  });

  it("are not the Service's at the number of its node port on another address", async () => {
    await connect({ address: POD, port: 30080 });
    await asked();
    isAt(POD, { pod: 'shop/a', identity: 'spiffe://cluster.local/ns/shop/sa/a' });
    expect(await refusedAs()).to.equal(`${POD}:30080`);
  });

  it('pass nothing on to a node port while it is not known whether the address is a node', async () => {
    isConnected = false;
    await connect({ address: NODE, port: 30080 });
    await asked();
    expect(await refusedAs()).to.equal(`${NODE}:30080`);
    expect(failures[0].error).to.equal('no_config');
  });

  it('are no business of the Service at other ports of these places', async () => {
    await connect({ address: '192.0.2.1', port: 8080 });
    await asked();
    expect(await refusedAs()).to.equal('192.0.2.1:8080');
  });

  describe('of which it is known that a Service is there, and not which', () => {
    const CART = { namespace: 'shop', name: 'cart', addresses: ['10.96.0.10'], ports: [80], meshed: true };
    const isPlace = (place: string, concerns = true): void => {
      addresses.remove('shop/cart');
      const flags = PLACE_FLAGS.elsewhere | (concerns ? PLACE_FLAGS.concerns : 0);
      addresses.places.take(PlaceSet.from(new Map([[place, flags]])).message(), 'v1');
    };

    it("are the Service's that the control plane names for the address and the port", async () => {
      isPlace('203.0.113.1');
      await connect({ address: '203.0.113.1', port: 80 });
      await asked();
      addresses.take(create(ServiceAddressSchema, { ...CART, loadBalancerAddresses: ['203.0.113.1'] }));
      isAt('203.0.113.1');
      expect(await refusedAs()).to.equal('shop/cart:80');
    });

    it('are not refused for it at a port that no Service there has', async () => {
      isPlace('127.0.0.1');
      const { ended } = await connect({ address: '127.0.0.1', port: 1 });
      await asked();
      addresses.take(create(ServiceAddressSchema, { ...CART, externalAddresses: ['127.0.0.1'] }));
      isAt('127.0.0.1');
      await until(() => ended() !== null, 'the connection is closed');
      expect(failures.map(({ service, error }) => [service, error])).to.deep.equal([['/passthrough:0', 'connect_failed']]);
    });

    it('are refused while the control plane is away, where routes or sidecars matter', async () => {
      isConnected = false;
      isPlace('203.0.113.1');
      await connect({ address: '203.0.113.1', port: 80 });
      await asked();
      expect(await refusedAs()).to.equal('203.0.113.1:80');
      expect(failures[0].reason).to.equal('which Service is at 203.0.113.1 was not known after 2000 ms, because the control plane is away');
    });

    it('pass while the control plane is away, where they do not', async () => {
      isConnected = false;
      isPlace('127.0.0.1', false);
      const { ended } = await connect({ address: '127.0.0.1', port: 1 });
      await until(() => ended() !== null, 'the connection is closed');
      expect(failures.map(({ service }) => service)).to.deep.equal(['/passthrough:0']);
    });

    it("are the pod's, with its identity, by what was known last while the control plane is away", async () => {
      isAt(POD);
      await connect({ address: POD, port: 80 });
      await asked();
      isAt(POD, { pod: 'bank/vault', identity: 'spiffe://cluster.local/ns/bank/sa/vault' });
      isConnected = false;
      isPlace(POD);
      expect(await refusedAs()).to.equal(`${POD}:80`);
      expect(failures[0].error).to.not.equal('no_config');
    });

    it("are the Service's of a node port, which is asked about once the address is known to be a node's", async () => {
      isPlace(':30080');
      await connect({ address: NODE, port: 30080 });
      await asked();
      expect(directs.addresses()).to.deep.equal([NODE]);
      isAt(NODE, { node: true });
      expect(directs.addresses()).to.deep.equal([NODE, ':30080']);
      addresses.take(create(ServiceAddressSchema, { ...CART, nodePorts: [30080] }));
      isAt(':30080');
      expect(await refusedAs()).to.equal('shop/cart:80');
    });

    for (const concerns of [true, false]) {
      const what = concerns ? 'refused at a node port, where routes or sidecars' : 'passed on at a node port, where they do not';
      it(`are ${what} matter, while the control plane is away`, async () => {
        isPlace(':1', concerns);
        await connect({ address: '127.0.0.1', port: 1 });
        await asked();
        isConnected = false;
        isAt('127.0.0.1', { node: true });
        const service = await refusedAs();
        expect([service, failures[0].error]).to.deep.equal(concerns ? ['127.0.0.1:1', 'no_config'] : ['/passthrough:0', 'connect_failed']);
        const reason = 'which Service is at node port 1 was not known after 2000 ms, because the control plane is away';
        expect(failures[0].reason === reason).to.equal(concerns);
      });
    }
  });

  it('are reset at a port that the Service does not have, before anything is read, and the reason names those it has', async () => {
    const { ended } = await connect({ address: '10.96.0.10', port: 81 });
    await until(() => ended() !== null, 'the connection is closed');
    expect(ended()).to.equal('ECONNRESET');
    const reason = 'Service shop/cart has no TCP port 81: it has 80, 443';
    expect(failures).to.deep.equal([{ service: 'shop/cart:81', error: 'no_endpoints', reason }]);
  });

  it('are for others to judge at such a port while the control plane is away', async () => {
    isConnected = false;
    await connect({ address: '10.96.0.10', port: 81 });
    await asked();
  });

  describe('without endpoints', () => {
    const declaredAs = (protocol: Protocol): void => {
      current = { ...portOf(rule([backend('cart')])), table: null, protocol };
      surroundings.proxy.upstreams.update(current.fallback.backends[0].ref, []);
    };

    it('are reset before anything is read where the port is TCP', async () => {
      declaredAs(Protocol.TCP);
      const { ended } = await connect({ address: '10.96.0.10', port: 80 });
      await until(() => ended() !== null, 'the connection is closed');
      expect(ended()).to.equal('ECONNRESET');
      expect(failures).to.deep.equal([{ service: 'shop/cart:80', error: 'no_endpoints', reason: 'no ready endpoints' }]);
    });

    it('are read where they may be HTTP, and reset when they are not', async () => {
      declaredAs(Protocol.UNSPECIFIED);
      const { ended } = await connect({ address: '10.96.0.10', port: 80 });
      await until(() => timers.nextInMs() !== null, 'the first octets are awaited');
      expect(ended()).to.equal(null);
      client.write('EHLO x\r\n');
      await until(() => ended() !== null, 'the connection is closed');
      expect(ended()).to.equal('ECONNRESET');
      expect(failures.map(({ error }) => error)).to.deep.equal(['no_endpoints']);
    });

    it('are reset when the client has kept silent', async () => {
      declaredAs(Protocol.UNSPECIFIED);
      const { ended } = await connect({ address: '10.96.0.10', port: 80 });
      await until(() => timers.nextInMs() !== null, 'the first octets are awaited');
      timers.advance(CONFIG_WAIT_MS);
      await until(() => ended() !== null, 'the connection is closed');
      expect(ended()).to.equal('ECONNRESET');
    });
  });
});
