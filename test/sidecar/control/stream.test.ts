// The configuration stream against a real gRPC server: what is held, wanted, refused, and what happens when the server
// goes away.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import {
  type Ack,
  type CallReport,
  type Hello,
  type LeafReport,
  RejectionSchema,
  type Resource,
  ResourceSchema,
  type SubscribeRequest,
  SubscribeResponseSchema,
  TracedCallSchema,
  TrustBundleSchema,
  type Want,
} from '#core/contract/gen/weft/v1/config_pb.ts';
import { PodAddressSchema, ServiceSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { systemTimers } from '#core/program/timers.ts';
import { Credentials } from '#sidecar/control/credentials.ts';
import { applyResources, type ResourceTakers } from '#sidecar/control/resources.ts';
import { ConfigStream } from '#sidecar/control/stream.ts';
import { type Call, type IssuingServer, recordingLogger, startIssuingServer, TRUST_DOMAIN } from '../../support/issuing-server.ts';

/** What the test's control plane sees, one item after the other. */
class Inbox<T> {
  private readonly items: T[] = [];
  private waiting: ((item: T) => void) | null = null;

  put(item: T): void {
    if (this.waiting === null) this.items.push(item);
    else this.waiting(item);
  }

  next(): Promise<T> {
    const item = this.items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => {
      this.waiting = (next) => {
        this.waiting = null;
        resolve(next);
      };
    });
  }
}

/** Takes all that comes and does nothing with it. */
const TAKERS: Omit<ResourceTakers, 'trust'> = {
  places: { take: () => {}, remove: () => {} },
  workload: { take: () => {} },
  endpoints: { take: () => {}, remove: () => {} },
  service: { take: () => {}, remove: () => {} },
  pod: { take: () => {} },
  address: { take: () => {}, remove: () => {} },
};

const service = (name: string, version: string): Resource =>
  create(ResourceSchema, {
    name: `service/shop/${name}`,
    version,
    body: { case: 'service', value: create(ServiceSchema, { namespace: 'shop', name }) },
  });

describe('sidecar/control: stream', () => {
  let server: IssuingServer;
  let credentials: Credentials;
  let stream: ConfigStream;
  let calls: Inbox<Call>;
  let requests: Inbox<SubscribeRequest['message']>;
  let applied: { resources: string[]; removed: string[] }[];
  let refuse: readonly { name: string; version: string; reason: string }[];
  const { log, lines } = recordingLogger();
  const more: IssuingServer[] = [];

  const subscribe = (call: Call): void => {
    call.on('data', (request: SubscribeRequest) => requests.put(request.message));
    call.on('end', () => call.end());
    call.on('error', () => {});
    calls.put(call);
  };

  beforeEach(async () => {
    calls = new Inbox();
    requests = new Inbox();
    applied = [];
    refuse = [];
    lines.length = 0;
    server = await startIssuingServer({ subscribe });
    const controlPlane = { host: server.host, port: server.port };
    const shared = { controlPlane, timers: systemTimers, random: () => 0, log };
    credentials = new Credentials({
      ...shared,
      tokenFile: server.tokenFile(),
      trustBundleFile: server.trustBundleFile,
      trustDomain: TRUST_DOMAIN,
    });
    const takers: ResourceTakers = { ...TAKERS, trust: { take: (bundle) => credentials.setTrust(bundle) } };
    stream = new ConfigStream({
      ...shared,
      credentials,
      version: '1.2.3',
      namespace: 'shop',
      pod: 'checkout-1',
      apply: (resources, removed) => {
        applied.push({ resources: resources.map(({ name, version }) => `${name}@${version}`), removed: [...removed] });
        return [...applyResources(takers, resources, removed), ...refuse.map((rejection) => create(RejectionSchema, rejection))];
      },
    });
  });

  afterEach(() => {
    stream.stop();
    credentials.stop();
    server.close();
    for (const one of more.splice(0)) one.close();
  });

  async function next<K extends 'hello' | 'want' | 'ack' | 'calls' | 'leaf'>(
    kind: K,
  ): Promise<{ hello: Hello; want: Want; ack: Ack; calls: CallReport; leaf: LeafReport }[K]> {
    const message = await requests.next();
    expect(message.case).to.equal(kind);
    return message.value as { hello: Hello; want: Want; ack: Ack; calls: CallReport; leaf: LeafReport }[K];
  }

  const respond = (call: Call, nonce: string, fields: { resources?: Resource[]; removed?: string[]; absent?: string[] }): void =>
    void call.write(create(SubscribeResponseSchema, { nonce, ...fields }));

  /** Starts both, as the program does, and returns the call with its Hello read. */
  async function open(): Promise<Call> {
    stream.start(); // before there is a certificate: it waits
    credentials.start();
    const call = await calls.next();
    await next('hello');
    return call;
  }

  it('does not say that it holds what is at an address of which it asks', async () => {
    const call = await open();
    const late = create(ResourceSchema, { name: 'pod/10.0.0.1', version: 'v1', body: { case: 'pod', value: create(PodAddressSchema) } });
    stream.dropAddresses(['10.0.0.1']);
    await next('want');
    respond(call, '1', { resources: [late] });
    await next('ack');
    stream.askAddress('10.0.0.1');
    await next('want');
    call.end();
    await calls.next();
    expect((await next('hello')).held).to.deep.equal([]);
  });

  it('reports calls while the stream is open', async () => {
    const calls = [create(TracedCallSchema, { traceId: 'a'.repeat(32), service: 'shop/payment:80', kind: 'slow', endedMs: 5n })];
    stream.reportCalls(calls);
    await open();
    stream.reportCalls(calls);
    expect((await next('calls')).calls.map(({ service, endedMs }) => [service, endedMs])).to.deep.equal([['shop/payment:80', 5n]]);
  });

  it('introduces itself, applies what comes, and acknowledges it', async () => {
    stream.start();
    expect(stream.status()).to.include({ connected: false, connects: 0 });
    credentials.start();
    const call = await calls.next();
    expect(await next('hello')).to.deep.include({ version: '1.2.3', namespace: 'shop', pod: 'checkout-1', services: [], held: [] });
    respond(call, 'n1', { resources: [service('payment', 'v1')], removed: ['service/shop/old'] });
    expect(await next('ack')).to.deep.include({ nonce: 'n1', rejected: [] });
    expect(applied).to.deep.equal([{ resources: ['service/shop/payment@v1'], removed: ['service/shop/old'] }]);
    expect(stream.status()).to.deep.include({
      connected: true,
      connects: 1,
      responses: 1,
      rejections: 0,
      versions: { 'service/shop/payment': 'v1' },
    });
  });

  it('refuses one resource, keeps its last good version and takes the others', async () => {
    const call = await open();
    respond(call, 'n1', { resources: [service('payment', 'v1')] });
    await next('ack');
    refuse = [{ name: 'service/shop/payment', version: 'v2', reason: 'bad regular expression' }];
    respond(call, 'n2', { resources: [service('payment', 'v2'), service('cart', 'v1')] });
    const { rejected } = await next('ack');
    expect(rejected.map(({ name, version, reason }) => ({ name, version, reason }))).to.deep.equal(refuse);
    expect(stream.status()).to.deep.include({
      rejections: 1,
      versions: { 'service/shop/payment': 'v1', 'service/shop/cart': 'v1' },
      rejected: { 'service/shop/payment': 'bad regular expression' },
    });
    refuse = [];
    respond(call, 'n3', { resources: [service('payment', 'v3')] });
    await next('ack');
    expect(stream.status().rejected).to.deep.equal({});
  });

  it('asks for a Service once, however many connections want it, and learns whether it is there', async () => {
    const call = await open();
    const [first, again] = [stream.want('shop/payment'), stream.want('shop/payment')];
    expect((await next('want')).services).to.deep.equal(['shop/payment']);
    respond(call, 'n1', { resources: [service('payment', 'v1')] });
    expect([await first, await again, await stream.want('shop/payment')]).to.deep.equal(['present', 'present', 'present']);
    expect((await next('ack')).nonce).to.equal('n1');

    const ghost = stream.want('shop/ghost');
    expect((await next('want')).services).to.deep.equal(['shop/ghost']);
    respond(call, 'n2', { absent: ['shop/ghost'] });
    expect(await ghost).to.equal('absent');
    expect((await next('ack')).nonce).to.equal('n2');
    respond(call, 'n3', { resources: [service('ghost', 'v1')], removed: ['service/shop/payment'] });
    await next('ack');
    expect([await stream.want('shop/ghost'), await stream.want('shop/payment')]).to.deep.equal(['present', 'absent']);
  });

  it('takes a refused Service for no answer to a want', async () => {
    const call = await open();
    let settled = false;
    void stream.want('shop/payment').then(() => {
      settled = true;
    });
    await next('want');
    refuse = [{ name: 'service/shop/payment', version: 'v1', reason: 'no' }];
    respond(call, 'n1', { resources: [service('payment', 'v1')] });
    await next('ack');
    expect(settled).to.equal(false);
    refuse = [];
    respond(call, 'n2', { resources: [service('payment', 'v2')] });
    await next('ack');
    expect(settled).to.equal(true);
  });

  it('comes back after the control plane was away, says what it holds, and has kept everything', async () => {
    const call = await open();
    void stream.want('shop/payment');
    await next('want');
    respond(call, 'n1', { resources: [service('payment', 'v1')] });
    await next('ack');
    server.stop();
    while (stream.status().connected) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(stream.status()).to.deep.include({ versions: { 'service/shop/payment': 'v1' } });
    expect(stream.status().lastError).to.not.equal('');
    expect(await stream.want('shop/payment')).to.equal('present');
    const late = stream.want('shop/cart');
    more.push(await startIssuingServer({ port: server.port, authority: server.authority, tokens: server.tokens, subscribe }));
    const second = await calls.next();
    const hello = await next('hello');
    expect([...hello.services].sort()).to.deep.equal(['shop/cart', 'shop/payment']);
    expect(hello.held.map(({ name, version }) => `${name}@${version}`)).to.deep.equal(['service/shop/payment@v1']);
    respond(second, 'n1', { resources: [service('cart', 'v1')] });
    expect(await late).to.equal('present');
    await next('ack');
    expect(stream.status()).to.deep.include({ connected: true, connects: 2, lastError: '' });
    const away = lines.filter(({ level, msg }) => level === 'warn' && msg.startsWith('control plane away'));
    expect(away.length, 'said once').to.equal(1);
  });

  it('comes back when the control plane ends the call, with or without an error', async () => {
    const call = await open();
    call.end();
    const second = await calls.next();
    await next('hello');
    second.emit('error', { code: 14, details: 'draining' });
    const third = await calls.next();
    await next('hello');
    respond(third, 'n1', {});
    await next('ack');
    expect(stream.status()).to.include({ connected: true, connects: 3 });
  });

  it('puts a trust bundle into force, and refuses one that it cannot use', async () => {
    const call = await open();
    const other = await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now });
    const trust = (version: string, roots: readonly Buffer[]): Resource =>
      create(ResourceSchema, {
        name: 'trust',
        version,
        body: { case: 'trust', value: create(TrustBundleSchema, { trustDomain: TRUST_DOMAIN, roots: [...roots] }) },
      });
    respond(call, 'n1', { resources: [trust('v1', [...server.authority.roots(), ...other.roots()])] });
    expect((await next('ack')).rejected).to.deep.equal([]);
    expect(credentials.current()!.roots.length).to.equal(2);
    respond(call, 'n2', { resources: [trust('v2', [])] });
    expect((await next('ack')).rejected.map(({ name, reason }) => [name, reason])).to.deep.equal([['trust', 'there is no root to trust']]);
    expect(credentials.current()!.roots.length).to.equal(2);
    expect(stream.status().versions).to.deep.equal({ trust: 'v1' });
  });

  it('opens anew with the new certificate before the one it was opened with ends', async () => {
    server.close();
    server = await startIssuingServer({ subscribe, leafLifetimeMs: 2000 });
    const controlPlane = { host: server.host, port: server.port };
    const shared = { controlPlane, timers: systemTimers, random: () => 0.5, log };
    credentials = new Credentials({
      ...shared,
      tokenFile: server.tokenFile(),
      trustBundleFile: server.trustBundleFile,
      trustDomain: TRUST_DOMAIN,
    });
    stream = new ConfigStream({ ...shared, credentials, version: '1', namespace: 'shop', pod: 'checkout-1', apply: () => [] });
    const call = await open();
    respond(call, 'n1', { resources: [service('payment', 'v1')] });
    await next('ack');
    const serial = (of: Call): string => of.getAuthContext().sslPeerCertificate!.serialNumber;
    const before = serial(call);
    const told = await next('leaf');
    const second = await calls.next();
    const hello = await next('hello');
    expect(hello.held.length).to.equal(1);
    expect(hello.leaf).to.deep.equal(told);
    expect(told.signing).to.equal(server.authority.id);
    expect(serial(second)).to.not.equal(before);
    expect(lines.filter(({ level }) => level === 'warn')).to.deep.equal([]);
  });

  it('stops for good', async () => {
    const call = await open();
    const ended = new Promise((resolve) => call.on('cancelled', resolve));
    stream.stop();
    await ended;
    expect(stream.status().connected).to.equal(false);
  });
});
