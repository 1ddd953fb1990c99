// The inbound side of captured traffic: its records stay few whatever is dialled, and STRICT holds for what is open too.
import net from 'node:net';
import { expect } from 'chai';
import { MtlsMode } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { Buffers } from '#sidecar/http/buffers.ts';
import { DownstreamConnections } from '#sidecar/http/downstream-connections.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import { Inbound, MOST_IDLE_PORTS } from '#sidecar/inbound/inbound.ts';
import type { ByteStream } from '#sidecar/link/byte-stream.ts';
import { type ConnectionHandler, Listener } from '#sidecar/link/listener.ts';
import { SERVER_CODECS } from '#sidecar/program/codecs.ts';
import { TestProxy } from '../../support/proxy.ts';
import { settings } from '../../support/raw-peer.ts';
import { until } from '../../support/until.ts';

describe('Inbound', () => {
  let surroundings: TestProxy;
  let connections: DownstreamConnections;
  let inbound: Inbound;
  let mtls: MtlsMode;

  beforeEach(async () => {
    surroundings = await TestProxy.start({ endpoints: [] });
    connections = new DownstreamConnections(surroundings.clock, Date.now, new Buffers(), SERVER_CODECS);
    mtls = MtlsMode.PERMISSIVE;
    inbound = new Inbound({
      proxyFor: () => surroundings.proxy,
      credentials: { tlsServerContext: () => null, tlsClientContext: () => null, trustDomain: () => 'cluster.local' },
      connections,
      wallClock: Date.now,
      log: silentLogger,
      timers: systemTimers,
      workload: () => ({ namespace: 'shop', name: 'payment' }),
      mtls: () => mtls,
      tlsRefused: () => {},
      tcp: { opened: () => () => {}, failed: () => {} },
      detected: () => {},
      closed: () => {},
      isOpaque: () => false,
    });
  });
  afterEach(() => {
    inbound.close();
    connections.destroy();
    surroundings.close();
  });

  const portsWithRecords = (): number => surroundings.upstreams.dump().filter(({ backend }) => backend.startsWith('10.0.0.1:')).length;

  describe('ports', () => {
    /** A connection to a port of the application, held open. @returns what closes it */
    function hold(handler: ConnectionHandler): () => void {
      const socket = new net.Socket();
      handler.onAccept({ socket } as unknown as ByteStream, () => {});
      return () => socket.emit('close');
    }

    it('without connections have few records, however many are scanned', () => {
      for (let port = 1; port <= 5000; port++) hold(inbound.capturedHandler({ address: '10.0.0.1', port }))();
      expect(portsWithRecords()).to.equal(MOST_IDLE_PORTS);
    });

    it('with connections do not take the record of another that is served', () => {
      const held = Array.from({ length: 2 * MOST_IDLE_PORTS }, (_, i) =>
        hold(inbound.capturedHandler({ address: '10.0.0.1', port: 20_000 + i })),
      );
      inbound.capturedHandler({ address: '10.0.0.1', port: 8080 });
      const { endpoints } = surroundings.upstreams.dump().find(({ backend }) => backend === '10.0.0.1:8080')!;
      expect(endpoints.map(({ key }) => key)).to.deep.equal(['10.0.0.1:8080']);
      expect(portsWithRecords()).to.equal(2 * MOST_IDLE_PORTS + 1);
      for (const close of held) close();
      inbound.capturedHandler({ address: '10.0.0.1', port: 8081 });
      expect(portsWithRecords()).to.equal(MOST_IDLE_PORTS);
    });
  });

  describe('when STRICT begins', () => {
    let app: net.Server;
    let listener: Listener;
    let client: net.Socket;
    let closed: boolean;
    let heard: Buffer;

    beforeEach(async () => {
      app = net.createServer((socket) => socket.on('error', () => {}).write('hello'));
      await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
      const { port } = app.address() as net.AddressInfo;
      listener = new Listener(
        { address: '127.0.0.1', port: 0 },
        inbound.capturedHandler({ address: '127.0.0.1', port }),
        surroundings.clock,
      );
      await listener.listen();
      closed = false;
      heard = Buffer.alloc(0);
      client = net.connect({ host: '127.0.0.1', port: listener.port });
      client.on('error', () => {});
      client.on('close', () => (closed = true));
      client.on('data', (octets) => (heard = Buffer.concat([heard, octets])));
    });
    afterEach(() => {
      client.destroy();
      listener.close();
      app.close();
    });

    it('TCP connections in plaintext that are open are reset', async () => {
      client.write('EHLO x\r\n');
      await until(() => heard.includes('hello'), 'the application is reached');
      inbound.endPlaintext();
      await until(() => closed, 'the connection is closed');
    });

    it('HTTP/2 connections in plaintext that are open get GOAWAY', async () => {
      client.write(Buffer.concat([HTTP2_PREFACE, settings()]));
      await until(() => connections.size === 1 && heard.length > 0, 'the connection is served');
      inbound.endPlaintext();
      // GOAWAY: type 7 on stream 0.
      await until(() => heard.includes(Buffer.from([7, 0, 0, 0, 0, 0])), 'GOAWAY');
      surroundings.clock.nowMs += 5001;
      connections.tick(surroundings.clock.nowMs);
      await until(() => closed, 'the connection is closed');
    });
  });
});
