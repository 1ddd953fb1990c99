// What the protocols of docs/reference/protocols.md say first, through two sidecars that have to find out: each octet
// arrives, in both directions and in turn.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { expect } from 'chai';
import { TestMesh } from '../support/mesh.ts';

/** Who says what, in turn. */
type Turn = readonly ['client' | 'server', Buffer];

const client = (octets: string): Turn => ['client', Buffer.from(octets, 'latin1')];
const server = (octets: string): Turn => ['server', Buffer.from(octets, 'latin1')];
/** The beginning of a ClientHello without ALPN: TLS of the application, not of the mesh. */
const CLIENT_HELLO = `\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03${'r'.repeat(32)}\x00\x00\x02\x13\x01\x01\x00\x00\x00`;

/** As on the page; the first turns of a session each. */
const CONVERSATIONS: Readonly<Record<string, readonly Turn[]>> = {
  MySQL: [
    server('\x4a\x00\x00\x00\x0a8.4.0\x00\x08\x00\x00\x00salt'),
    client('\x20\x00\x00\x01\x85\xa6\x7f\x00'),
    server('\x07\x00\x00\x02\x00\x00\x00'),
  ],
  SMTP: [
    server('220 mail.example ESMTP\r\n'),
    client('EHLO shop.example\r\n'),
    server('250 STARTTLS\r\n'),
    client('STARTTLS\r\n'),
    server('220 Go ahead\r\n'),
    client(CLIENT_HELLO),
  ],
  FTP: [server('220 ready\r\n'), client('USER shop\r\n'), server('331 password\r\n')],
  NATS: [server('INFO {"server_id":"a"}\r\n'), client('CONNECT {"verbose":false}\r\nPING\r\n'), server('PONG\r\n')],
  'PostgreSQL with TLS': [client('\x00\x00\x00\x08\x04\xd2\x16\x2f'), server('S'), client(CLIENT_HELLO), server('\x16\x03\x03')],
  'PostgreSQL without TLS': [client('\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00'), server('R\x00\x00\x00\x08\x00\x00\x00\x00')],
  Redis: [client('*1\r\n$4\r\nPING\r\n'), server('+PONG\r\n'), client('GET a\r\n'), server('$-1\r\n')],
  'Redis, inline commands': [client('GET a\r\n'), server('$-1\r\n'), client('PRIORITY\r\n'), server('-ERR\r\n')],
  Memcached: [client('get a\r\n'), server('END\r\n')],
  Kafka: [client('\x00\x00\x00\x17\x00\x12\x00\x03\x00\x00\x00\x01\x00\x05shop\x00'), server('\x00\x00\x00\x06\x00\x00\x00\x01\x00\x00')],
  MongoDB: [client('\x15\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00'), server('\x10\x00\x00\x00')],
  AMQP: [client('AMQP\x00\x00\x09\x01'), server('\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\xce')],
  MQTT: [client('\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04shop'), server('\x20\x02\x00\x00')],
  Cassandra: [client('\x04\x00\x00\x00\x05\x00\x00\x00\x00'), server('\x84\x00\x00\x00\x06\x00\x00\x00\x00')],
  LDAP: [client('\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00'), server('\x30\x0c\x02\x01\x01\x61')],
  ZooKeeper: [client('\x00\x00\x00\x2c\x00\x00\x00\x00'), server('\x00\x00\x00\x24\x00\x00\x00\x00')],
  'TLS of the application': [client(CLIENT_HELLO), server('\x16\x03\x03\x00\x02')],
};

/** Plays one side: says its turns when all before them have arrived. @returns what it heard, when it is all there */
function play(socket: net.Socket, side: Turn[0], turns: readonly Turn[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    let at = 0;
    let expected = 0;
    const goOn = (): void => {
      for (; at < turns.length; at++) {
        const [speaker, octets] = turns[at];
        if (speaker === side) {
          socket.write(octets);
        } else {
          if (heard.length < expected + octets.length) return;
          expected += octets.length;
        }
      }
      resolve(heard);
    };
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      goOn();
    });
    socket.on('error', reject);
    goOn();
  });
}

describe('a protocol that nothing is declared of', () => {
  let mesh: TestMesh;
  let app: net.Server;
  let turns: readonly Turn[] = [];
  let atServer: Promise<string> = Promise.resolve('');

  before(async () => {
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['db'] },
        { name: 'server', serves: true },
      ],
      declared: false,
      services: { db: ['server'] },
    });
    app = net.createServer((socket) => {
      atServer = play(socket, 'server', turns);
    });
    const { host, port } = mesh.appAddress('server');
    await new Promise<void>((resolve) => app.listen(port, host, resolve));
  });

  after(async () => {
    app.close();
    await mesh.close();
  });

  for (const [name, conversation] of Object.entries(CONVERSATIONS)) {
    it(`passes as it is: ${name}`, async () => {
      turns = conversation;
      const socket = net.connect(mesh.address('caller', 'db'));
      try {
        const said = (side: Turn[0]): string => {
          const octets = conversation.flatMap(([speaker, text]) => (speaker === side ? [text] : []));
          return Buffer.concat(octets).toString('latin1');
        };
        expect(await play(socket, 'client', conversation)).to.equal(said('server'));
        expect(await atServer).to.equal(said('client'));
      } finally {
        socket.destroy();
      }
    });
  }

  it('is on the page, and nothing else is', () => {
    const page = readFileSync(path.join(import.meta.dirname, '..', '..', 'docs', 'reference', 'protocols.md'), 'utf8');
    const table = page.slice(page.indexOf('## Protocols that are not HTTP'));
    const named = [...table.matchAll(/^\| ([^|]+) \| (?:server|client) \|/gm)].map(([, name]) => name);
    expect(named).to.deep.equal(Object.keys(CONVERSATIONS));
  });
});
