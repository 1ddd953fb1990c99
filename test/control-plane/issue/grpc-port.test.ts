// The gRPC port against strangers and greedy members: what is kept of each, how long, and that others get in.
import { generateKeyPairSync } from 'node:crypto';
import http2 from 'node:http2';
import tls from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Authority, toPem } from '#certs/authority.ts';
import { ServerRotation } from '#certs/rotation.ts';
import {
  type GrpcPort,
  LARGEST_STRANGER_MESSAGE,
  MOST_OF_ONE_POD,
  MOST_STRANGERS_OF_ONE_ADDRESS,
  openGrpcPort,
  STRANGER_FOR_MS,
} from '#control-plane/issue/grpc-port.ts';
import { serviceDefinition } from '#control-plane/publish/wire.ts';
import { Certificates, IssueResponseSchema } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { Config } from '#core/contract/gen/weft/v1/config_pb.ts';
import { podUidOf } from '#core/contract/pod-uid.ts';
import { validateSvid } from '#core/contract/svid.ts';
import type { Timers } from '#core/program/timers.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';

const RESOURCE_EXHAUSTED = '8';

interface Shown {
  readonly cert: string;
  readonly key: string;
}

describe('control-plane/issue: the gRPC port', () => {
  let authority: Authority;
  let port: GrpcPort;
  let timers: ManualTimers;
  let issued: number;
  const opened: tls.TLSSocket[] = [];

  before(async () => {
    authority = await Authority.create({ trustDomain: 'test.local', now: Date.now });
  });

  beforeEach(async () => {
    timers = new ManualTimers();
    issued = 0;
    const rotation = new ServerRotation({ authority, timers: { now: Date.now, after: () => () => {} } as Timers, random: () => 0 });
    await rotation.start();
    const configuration = {
      definition: serviceDefinition(Config),
      handlers: { subscribe: (call: { end(): void }) => call.end() },
    };
    const issue = (_: unknown, callback: (error: null, response: object) => void): void => {
      issued++;
      callback(null, create(IssueResponseSchema));
    };
    const certificates = { definition: serviceDefinition(Certificates), handlers: { issue } };
    port = await openGrpcPort({
      host: '127.0.0.1',
      port: 0,
      rotation,
      forAll: [certificates, configuration],
      forMembers: [configuration],
      timers,
    });
  });

  afterEach(async () => {
    for (const socket of opened.splice(0)) socket.destroy();
    await port.close();
  });

  async function certificateOf(podUid: string): Promise<Shown & { der: Buffer }> {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { chain } = await authority.issue(publicKey, 'shop', 'checkout', 0, podUid);
    const key = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    return { der: chain[0], cert: chain.map((der) => toPem('CERTIFICATE', der)).join(''), key };
  }

  async function connect(localAddress: string, shown?: Shown): Promise<tls.TLSSocket> {
    const to = { host: '127.0.0.1', port: port.port, localAddress, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...shown };
    const socket = tls.connect(to as tls.ConnectionOptions);
    socket.on('error', () => {});
    opened.push(socket);
    await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
    return socket.resume();
  }

  /** What a call of Issue with these octets is answered: its grpc-status, or that it was cut. */
  async function issueOn(socket: tls.TLSSocket, octets: Buffer, whole: boolean): Promise<string> {
    const session = http2.connect('https://weft', { createConnection: () => socket });
    session.on('error', () => {});
    const stream = session.request({
      ':method': 'POST',
      ':path': '/weft.v1.Certificates/Issue',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const answered = new Promise<string>((resolve) => {
      stream.on('response', (headers) => headers['grpc-status'] !== undefined && resolve(String(headers['grpc-status'])));
      stream.on('trailers', (trailers) => resolve(String(trailers['grpc-status'])));
      stream.on('error', () => {});
      stream.on('close', () => resolve('cut'));
    });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(whole ? octets.length : octets.length + 1, 1);
    stream.write(Buffer.concat([head, octets]));
    if (whole) stream.end();
    return answered;
  }

  it('a stranger’s connections beyond its share push out its own oldest, and its neighbour is served', async () => {
    const greedy: tls.TLSSocket[] = [];
    for (let i = 0; i < MOST_STRANGERS_OF_ONE_ADDRESS + 6; i++) greedy.push(await connect('127.0.0.66'));
    await until(() => greedy.filter(({ closed }) => closed).length === 6, 'its oldest are gone');
    expect(greedy.slice(0, 6).every(({ closed }) => closed)).to.equal(true);
    expect(port.counts()).to.deep.equal({ strangers: MOST_STRANGERS_OF_ONE_ADDRESS, members: 0 });
    expect(await issueOn(await connect('127.0.0.1'), Buffer.alloc(0), true)).to.equal('0');
  });

  it('a stranger’s connection ends after its time, though a call on it has not ended', async () => {
    const socket = await connect('127.0.0.1');
    const answered = issueOn(socket, Buffer.alloc(100), false);
    const silent = await connect('127.0.0.1');
    await until(() => port.counts().strangers === 2, 'both are there');
    timers.advance(STRANGER_FOR_MS);
    expect(await answered).to.equal('cut');
    await until(() => silent.closed && port.counts().strangers === 0, 'it is closed');
    expect(issued).to.equal(0);
  });

  it('a stranger’s message is refused by its length, before its octets come', async () => {
    const socket = await connect('127.0.0.1');
    expect(await issueOn(socket, Buffer.alloc(LARGEST_STRANGER_MESSAGE), false)).to.equal(RESOURCE_EXHAUSTED);
    expect(issued).to.equal(0);
  });

  it('a member is no stranger: it stays, and counts as its pod', async () => {
    const [one, other] = [await certificateOf('uid-1'), await certificateOf('uid-2')];
    const sibling = await connect('127.0.0.1', other);
    const greedy: tls.TLSSocket[] = [];
    for (let i = 0; i < MOST_OF_ONE_POD + 2; i++) greedy.push(await connect(`127.0.0.${10 + i}`, one));
    await until(() => greedy.filter(({ closed }) => closed).length === 2, 'its oldest are gone');
    await until(() => port.counts().members === MOST_OF_ONE_POD + 1, 'all others stay');
    timers.advance(STRANGER_FOR_MS);
    expect([sibling, ...greedy.slice(2)].map(({ closed }) => closed)).to.not.include(true);
    expect(port.counts()).to.deep.equal({ strangers: 0, members: MOST_OF_ONE_POD + 1 });
  });

  it('a certificate of another authority makes no member', async () => {
    const foreign = await Authority.create({ trustDomain: 'test.local', now: Date.now });
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { chain } = await foreign.issue(publicKey, 'shop', 'checkout', 0, 'uid-1');
    const key = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    await connect('127.0.0.1', { cert: toPem('CERTIFICATE', chain[0]), key });
    await until(() => port.counts().strangers === 1, 'it counts as a stranger');
    expect(port.counts().members).to.equal(0);
  });

  it('a certificate names its pod, and is still an SVID; what no uid can be is left out', async () => {
    const { der } = await certificateOf('6f1c5f0e-7f0c-4a53-9d3c-1f1d5a8e7f11');
    expect(podUidOf(der)).to.equal('6f1c5f0e-7f0c-4a53-9d3c-1f1d5a8e7f11');
    expect(validateSvid(der, { trustDomain: 'test.local', nowMs: Date.now() })).to.include({
      ok: true,
      identity: 'spiffe://test.local/ns/shop/sa/checkout',
    });
    for (const odd of ['', 'a b', 'x'.repeat(65), 'ü', 'a\n']) expect(podUidOf((await certificateOf(odd)).der)).to.equal('');
    for (const octets of [undefined, Buffer.alloc(0), Buffer.from('3000', 'hex'), der.subarray(0, 90), Buffer.alloc(20_000)])
      expect(podUidOf(octets)).to.equal('');
  });
});
