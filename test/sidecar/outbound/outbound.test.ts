// Captured connections to the address of a pod: while they are open the address is known, and they end when somebody
// else gets it.
import net from 'node:net';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { OutboundListenerSchema, PodAddressSchema, ServiceAddressSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { PLACE_FLAGS, PlaceSet } from '#core/contract/places.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { Buffers } from '#sidecar/http/buffers.ts';
import { DownstreamConnections } from '#sidecar/http/downstream-connections.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { AddressIndex } from '#sidecar/outbound/address-index.ts';
import { CONFIG_WAIT_MS } from '#sidecar/outbound/config-wait.ts';
import { DirectPorts } from '#sidecar/outbound/direct-ports.ts';
import { capturedOutbound, Outbound } from '#sidecar/outbound/outbound.ts';
import { SERVER_CODECS } from '#sidecar/program/codecs.ts';
import { freePorts } from '../../support/free-port.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { backend, portOf, rule, TestProxy } from '../../support/proxy.ts';
import { headerOf, headers, RawPeer, request, settings } from '../../support/raw-peer.ts';
import { until } from '../../support/until.ts';

const ADDRESS = '127.0.0.1';
/** Later than any idle address is kept. */
const LATER_MS = 1e9;

describe('captured connections to a pod', () => {
  let timers: ManualTimers;
  let outside: string;
  let isConnected: boolean;
  let failures: unknown[];
  let addresses: AddressIndex;
  let surroundings: TestProxy;
  let connections: DownstreamConnections;
  let directs: DirectPorts;
  let app: { server: net.Server; port: number };
  let listener: Listener;
  let client: net.Socket;
  let heard: Buffer;
  let closed: boolean;

  const isAt = (identity: string): void => directs.take(create(PodAddressSchema, { address: ADDRESS, identity, pod: 'shop/a' }));

  beforeEach(async () => {
    timers = new ManualTimers();
    outside = '';
    isConnected = true;
    failures = [];
    addresses = new AddressIndex();
    surroundings = await TestProxy.start({ endpoints: [] });
    const { clock, proxy } = surroundings;
    const server = net.createServer((socket) => socket.on('error', () => {}).end('plain'));
    await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
    app = { server, port: (server.address() as net.AddressInfo).port };
    connections = new DownstreamConnections(clock, Date.now, new Buffers(), SERVER_CODECS);
    const questions = { ask: () => {}, drop: () => {}, connected: () => isConnected };
    directs = new DirectPorts(proxy.upstreams, questions, (place) => addresses.places.isServiceOnly(place));
    const context = {
      proxy,
      credentials: { tlsClientContext: () => null, trustDomain: () => 'cluster.local' },
      connections,
      log: silentLogger,
      timers,
      wallClock: Date.now,
      port: () => ({ current: null }),
      want: async () => {},
      tcp: {
        opened: () => () => {},
        failed: ({ service }: { service: { key: string } }, error: string) => failures.push([service.key, error]),
      },
      detected: () => {},
      closed: () => {},
      connected: () => isConnected,
      isOpaque: () => false,
      hairpin: () => undefined,
      addresses,
      directs,
      isOutside: (address: string) => address === outside,
    };
    listener = new Listener(
      { address: '127.0.0.1', port: 0 },
      () => capturedOutbound(context, { address: ADDRESS, port: app.port }),
      clock,
    );
    await listener.listen();
    connect();
    await until(() => directs.addresses().length === 1, 'the address is asked about');
  });

  function connect(): void {
    client?.destroy();
    heard = Buffer.alloc(0);
    closed = false;
    client = net.connect({ host: '127.0.0.1', port: listener.port });
    client.on('error', () => {});
    client.on('data', (octets) => (heard = Buffer.concat([heard, octets])));
    const mine = client;
    client.on('close', () => (closed ||= client === mine));
  }
  afterEach(() => {
    client.destroy();
    listener.close();
    app.server.close();
    connections.destroy();
    surroundings.close();
  });

  it('get GOAWAY on HTTP/2 when another pod has the address, and the address is forgotten when they have ended', async () => {
    isAt('spiffe://cluster.local/ns/shop/sa/a');
    client.write(Buffer.concat([HTTP2_PREFACE, settings()]));
    await until(() => connections.size === 1 && heard.length > 0, 'the connection is served');
    directs.tick(LATER_MS);
    expect(directs.addresses()).to.deep.equal([ADDRESS]);
    isAt('spiffe://cluster.local/ns/shop/sa/b');
    // GOAWAY: type 7 on stream 0.
    await until(() => heard.includes(Buffer.from([7, 0, 0, 0, 0, 0])), 'GOAWAY');
    client.destroy();
    await until(() => {
      directs.tick(LATER_MS);
      return directs.addresses().length === 0;
    }, 'the address is forgotten');
  });

  it('are reset when another pod has the address and they have sent nothing yet', async () => {
    isAt('spiffe://cluster.local/ns/shop/sa/a');
    await new Promise(setImmediate);
    isAt('');
    await until(() => closed, 'the connection is closed');
  });

  it('go on in plaintext to a port that its sidecar does not see', async () => {
    const bypassed = [{ from: app.port, to: app.port }];
    directs.take(create(PodAddressSchema, { address: ADDRESS, identity: 'spiffe://cluster.local/ns/shop/sa/a', pod: 'shop/a', bypassed }));
    client.write('x');
    await until(() => closed, 'the connection is closed');
    expect(`${heard}`).to.equal('plain');
  });

  it('leave nothing in use when they cannot be joined, and never go on in plaintext', async () => {
    isAt('spiffe://cluster.local/ns/shop/sa/a');
    client.write('EHLO x\r\n');
    await until(() => closed, 'the connection is closed');
    expect(heard.length).to.equal(0);
    directs.tick(LATER_MS);
    expect(directs.addresses()).to.deep.equal([]);
  });

  describe('whose address turns out to be the ClusterIP of a Service that was not used before', () => {
    const { clusterIp, concerns } = PLACE_FLAGS;
    const isPlace = (flags: number): void => addresses.places.take(PlaceSet.from(new Map([[ADDRESS, flags]])).message(), 'v1');
    const isService = (meshed: boolean): void =>
      addresses.take(create(ServiceAddressSchema, { namespace: 'shop', name: 'cart', addresses: [ADDRESS], ports: [app.port], meshed }));

    /** The control plane answers, and the connection is refused in the name of the Service, whose rules do not come. */
    async function isServices(): Promise<void> {
      isService(true);
      isAt('');
      client.write('GET / HTTP/1.1\r\n\r\n');
      await until(() => closed, 'the connection is closed');
      expect(failures.at(-1)).to.deep.equal([`shop/cart:${app.port}`, 'no_config']);
    }

    it("are the Service's as soon as the control plane says so", async () => {
      isPlace(clusterIp | concerns);
      connect();
      await isServices();
    });

    it('wait and are refused with the reason while the control plane is away, where routes or sidecars matter', async () => {
      isConnected = false;
      isPlace(clusterIp | concerns);
      timers.advance(CONFIG_WAIT_MS);
      connect();
      await until(() => timers.nextInMs() === CONFIG_WAIT_MS, 'the connection waits');
      timers.advance(CONFIG_WAIT_MS);
      const peer = new RawPeer(client, false);
      peer.write(HTTP2_PREFACE, settings(), headers(1, request('/a.B/C'), true));
      const end = await peer.end(1);
      expect(headerOf(end.headers, 'grpc-message')).to.match(
        /no_config.*which Service is at 127\.0\.0\.1 was not known after 2000 ms, because the control plane is away$/,
      );
      isService(true);
      isAt('');
      await until(() => heard.includes(Buffer.from([7, 0, 0, 0, 0, 0])), 'GOAWAY');
    });

    it("are the Service's when the control plane comes back within the wait", async () => {
      isConnected = false;
      isPlace(clusterIp | concerns);
      timers.advance(CONFIG_WAIT_MS);
      connect();
      await until(() => timers.nextInMs() === CONFIG_WAIT_MS, 'the connection waits');
      isConnected = true;
      await isServices();
    });

    it('pass at once while the control plane is away, where the Service has neither routes nor sidecars', async () => {
      isConnected = false;
      isPlace(clusterIp);
      timers.advance(CONFIG_WAIT_MS);
      connect();
      await until(() => closed, 'the connection is closed');
      expect(`${heard}`).to.equal('plain');
    });

    it('do not pass by what was known of the address before there was a Service', async () => {
      isAt('');
      await until(() => closed, 'the server has answered and closed');
      await until(() => {
        directs.tick(LATER_MS);
        return directs.addresses().length === 0;
      }, 'the address is forgotten');
      isPlace(clusterIp | concerns);
      isConnected = false;
      connect();
      await until(() => timers.nextInMs() === CONFIG_WAIT_MS, 'the connection waits');
      client.write('x');
      timers.advance(CONFIG_WAIT_MS);
      await until(() => closed, 'the connection is closed');
      expect(heard.length).to.equal(0);
    });
  });

  describe('where it is not known whether a sidecar is there', () => {
    async function connectAndWait(): Promise<void> {
      timers.advance(CONFIG_WAIT_MS);
      connect();
      await until(() => timers.nextInMs() === CONFIG_WAIT_MS, 'the new connection waits');
    }

    it('are reset after the wait, counted and reported, and never go on in plaintext', async () => {
      client.write('EHLO x\r\n');
      timers.advance(CONFIG_WAIT_MS);
      await until(() => closed, 'the connection is closed');
      expect(heard.length).to.equal(0);
      expect(failures).to.deep.equal([[`${ADDRESS}:${app.port}`, 'no_config']]);
      expect(surroundings.count).to.deep.equal({ no_config: 1 });
    });

    it('get 503 on HTTP/1.1 with the reason', async () => {
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      timers.advance(CONFIG_WAIT_MS);
      await until(() => heard.includes('not known'), 'the answer has come');
      expect(heard.toString()).to.match(/^HTTP\/1.1 503 .*weft: no_config: whether there is a sidecar/s);
    });

    it('get UNAVAILABLE on HTTP/2 with the reason, and GOAWAY when it is known', async () => {
      timers.advance(CONFIG_WAIT_MS);
      const peer = new RawPeer(client, false);
      peer.write(HTTP2_PREFACE, settings(), headers(1, request('/a.B/C'), true));
      const end = await peer.end(1);
      expect(headerOf(end.headers, 'grpc-status')).to.equal('14');
      expect(headerOf(end.headers, 'grpc-message'))
        .to.contain('no_config')
        .and.match(/sidecar at 127\.0\.0\.1 was not known after 2000 ms$/);
      isAt('');
      await until(() => heard.includes(Buffer.from([7, 0, 0, 0, 0, 0])), 'GOAWAY');
    });

    it('wait in the same way while the control plane is away', async () => {
      isConnected = false;
      await connectAndWait();
      client.write('x');
      timers.advance(CONFIG_WAIT_MS);
      await until(() => closed, 'the connection is closed');
      expect(heard.length).to.equal(0);
    });

    it('say on HTTP/2 that the control plane is away', async () => {
      isConnected = false;
      await connectAndWait();
      timers.advance(CONFIG_WAIT_MS);
      const peer = new RawPeer(client, false);
      peer.write(HTTP2_PREFACE, settings(), headers(1, request('/a.B/C'), true));
      const end = await peer.end(1);
      expect(headerOf(end.headers, 'grpc-message')).to.contain('no_config').and.contain('because the control plane is away');
    });

    it('go on by what was known last while the control plane is away', async () => {
      isAt('');
      await until(() => closed, 'the server has answered and closed');
      await until(() => {
        directs.tick(LATER_MS);
        return directs.addresses().length === 0;
      }, 'the address is forgotten');
      isConnected = false;
      connect();
      await until(() => closed, 'the connection is closed');
      expect(`${heard}`).to.equal('plain');
    });

    it('go on to an address that no pod can have, at once while the control plane is away', async () => {
      outside = ADDRESS;
      await connectAndWait();
      timers.advance(CONFIG_WAIT_MS);
      await until(() => closed, 'the connection is closed');
      expect(`${heard}`).to.equal('plain');
      isConnected = false;
      connect();
      await until(() => closed, 'the connection is closed');
      expect(`${heard}`).to.equal('plain');
    });

    it("are the Service's when the answer is that one is there", async () => {
      const late = { namespace: 'shop', name: 'late', addresses: [ADDRESS], ports: [app.port], meshed: true };
      addresses.take(create(ServiceAddressSchema, late));
      isAt('');
      client.write('GET / HTTP/1.1\r\n\r\n');
      await until(() => closed, 'the connection is closed');
      expect(heard.length).to.equal(0);
      expect(failures).to.deep.equal([[`shop/late:${app.port}`, 'no_config']]);
    });
  });
});

describe('a TCP connection to a Service', () => {
  let surroundings: TestProxy;
  let outbound: Outbound;

  beforeEach(async () => {
    surroundings = await TestProxy.start({ endpoints: [] });
  });

  afterEach(() => {
    outbound.close();
    surroundings.close();
  });

  for (const [what, current, label] of [
    ['without an endpoint', portOf(rule([backend('payment')])), 'no_endpoints'],
    ['whose configuration does not come', null, 'no_config'],
  ] as const) {
    it(`${what} is refused and reported`, async () => {
      const { clock, proxy } = surroundings;
      const failures: unknown[] = [];
      outbound = new Outbound({
        proxy,
        credentials: { tlsClientContext: () => null, trustDomain: () => 'cluster.local' },
        connections: new DownstreamConnections(clock, Date.now, new Buffers(), SERVER_CODECS),
        log: silentLogger,
        timers: systemTimers,
        wallClock: Date.now,
        port: () => ({ current }),
        want: async () => {},
        tcp: { opened: () => () => {}, failed: ({ service, endpoint }, error) => failures.push([service.key, endpoint, error]) },
        detected: () => {},
        closed: () => {},
        connected: () => true,
        isOpaque: () => false,
        hairpin: () => undefined,
      });
      const [port] = await freePorts(1);
      const listener = create(OutboundListenerSchema, { address: ADDRESS, port, namespace: 'shop', service: 'payment', servicePort: 80 });
      expect(await outbound.setListeners([listener])).deep.equal([]);
      const client = net.connect(port, ADDRESS).on('error', () => {});
      client.write('not HTTP/2');
      await until(() => failures.length > 0, 'it is told of');
      expect(failures).deep.equal([['shop/payment:80', null, label]]);
      expect(surroundings.count).deep.equal({ [label]: 1 });
      client.destroy();
    });
  }
});
