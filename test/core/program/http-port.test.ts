// The small HTTP port: what each program's probes, metrics and pages answer, and which addresses are this machine's.
import { expect } from 'chai';
import { type HttpPort, isLoopback, jsonPage, openHttpPort } from '#core/program/http-port.ts';

describe('an HTTP port', () => {
  let port: HttpPort;
  let missing = '';
  const notes: string[] = [];
  const ask = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${port.port}${path}`, { method });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };

  before(async () => {
    port = await openHttpPort({
      host: '127.0.0.1',
      port: 0,
      bound: () => {},
      ready: () => (missing === '' ? { notes } : { missing }),
      metrics: (out) => out.family('a', 'gauge', 'A.'),
      page: (path, request) => (path === '/page' ? jsonPage({ of: request.method }) : null),
      headers: { 'x-own': 'yes' },
    });
  });
  after(() => port.close());

  it('is alive, and ready with its notes or says what is missing', async () => {
    expect(await ask('/livez')).to.include({ status: 200, text: 'ok\n' });
    notes.push('one', 'two');
    expect(await ask('/readyz?verbose')).to.include({ status: 200, text: 'ok\none\ntwo\n' });
    missing = 'no certificate';
    expect(await ask('/readyz')).to.include({ status: 503, text: 'no certificate\n' });
  });

  it('has metrics and the pages of its program, and no others', async () => {
    expect((await ask('/metrics')).text).to.include('# TYPE a gauge');
    expect(await ask('/page?x')).to.include({ status: 200, text: '{\n  "of": "GET"\n}\n' });
    expect(await ask('/page/x')).to.include({ status: 404, text: 'not found\n' });
  });

  it('is only read', async () => {
    for (const path of ['/page', '/metrics', '/livez', '/nowhere'])
      expect(await ask(path, 'POST'), path).to.include({ status: 405, text: 'only GET\n' });
    const { status, text, headers } = await ask('/page', 'HEAD');
    expect([status, text, headers.get('content-length')]).to.deep.equal([200, '', '19']);
  });

  it('lets nothing be stored, and sends the headers that it was given', async () => {
    const { headers } = await ask('/livez');
    expect([headers.get('cache-control'), headers.get('x-own')]).to.deep.equal(['no-store', 'yes']);
  });

  it('says why it cannot be opened', async () => {
    const taken = openHttpPort({ host: '127.0.0.1', port: port.port, bound: () => {}, ready: () => ({ notes: [] }), metrics: () => {} });
    await taken.then(
      () => expect.fail('it was opened'),
      (error: NodeJS.ErrnoException) => expect(error.code).to.equal('EADDRINUSE'),
    );
  });
});

describe('loopback', () => {
  it('is 127.0.0.0/8 and ::1, also as IPv4 in IPv6', () => {
    for (const address of ['127.0.0.1', '127.77.0.1', '::1', '::ffff:127.0.0.1']) expect(isLoopback(address), address).to.equal(true);
    for (const address of [undefined, '', '10.0.0.127', '::', '::11', '::ffff:10.0.0.1', '1.127.0.1', 'fd00::1', '1270.0.0.1'])
      expect(isLoopback(address), `${address}`).to.equal(false);
  });
});
