// Whether traffic is captured, judged by who answers: our inbound side, somebody else, nobody.
import { once } from 'node:events';
import net from 'node:net';
import { expect } from 'chai';
import { CAPTURE_ANSWER, checkCapture } from '#sidecar/pod/capture/check.ts';

type To = { host: string; port: number; localAddress: string };

describe('capture check', () => {
  let server: net.Server | null = null;

  afterEach(() => {
    server?.close();
    server = null;
  });

  /** As the rules do it: the connection goes to our listener instead. Only who says nothing is waited for in vain. */
  async function check(
    serve: (socket: net.Socket) => void,
    podAddress = '10.244.0.5',
    timeoutMs = 15_000,
  ): Promise<{ said: string; asked: To[] }> {
    const listening = net.createServer(serve);
    server = listening;
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const asked: To[] = [];
    const connect = (to: To): net.Socket => {
      asked.push(to);
      return net.connect((listening.address() as net.AddressInfo).port, '127.0.0.1');
    };
    return { said: await checkCapture({ podAddress, inboundPort: 15006, byAgent: false, connect, timeoutMs }), asked };
  }

  it('is content when our inbound side answers', async () => {
    const { said, asked } = await check((socket) => socket.end(CAPTURE_ANSWER));
    expect(said).to.equal('');
    expect(asked).to.deep.equal([{ host: '10.244.0.5', port: 15021, localAddress: '127.0.0.1' }]);
  });

  it('is content when the answer comes in pieces', async () => {
    const { said } = await check((socket) => {
      socket.write(CAPTURE_ANSWER.slice(0, 2), () => setImmediate(() => socket.end(CAPTURE_ANSWER.slice(2))));
    });
    expect(said).to.equal('');
  });

  it('asks an IPv6 pod from its own loopback', async () => {
    const { asked } = await check((socket) => socket.end(CAPTURE_ANSWER), 'fd00::5');
    expect(asked).to.deep.equal([{ host: 'fd00::5', port: 15021, localAddress: '::1' }]);
  });

  it('reports that there was no listener, an answer of another program, or none', async () => {
    const refused = await checkCapture({
      podAddress: '127.0.0.1',
      inboundPort: 15006,
      byAgent: false,
      connect: () => net.connect(1, '127.0.0.1'),
    });
    expect(refused).to.equal(
      "traffic is not captured: a connection to this pod's 127.0.0.1:15021 did not reach port 15006 (ECONNREFUSED); " +
        "nftables' table inet weft, which this container loads before the sidecar starts, is not in force",
    );
    const waits = await checkCapture({
      podAddress: '127.0.0.1',
      inboundPort: 15006,
      byAgent: true,
      connect: () => net.connect(1, '127.0.0.1'),
    });
    expect(waits).to.match(
      /^traffic is not captured: .*; it waits for the node agent \(DaemonSet weft-node-agent in weft-system\) of its node/,
    );
    expect((await check((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n'))).said).to.contain('(somebody else answered)');
    server?.close();
    expect((await check((socket) => socket.end())).said).to.contain('(closed without an answer)');
    server?.close();
    const open: net.Socket[] = [];
    expect((await check((socket) => void open.push(socket), 'fd00::5', 300)).said).to.match(
      /\[fd00::5\]:15021 .*\(no answer within 300 ms\)/,
    );
    for (const socket of open) socket.destroy();
  });
});
