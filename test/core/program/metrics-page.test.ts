// GET /metrics over real sockets: always new to a scrape now and then, shared by many at once, and not kept for readers
// that are stuck.
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { expect } from 'chai';
import { CONTENT_TYPES, type Exposition, gauge } from '#core/program/exposition.ts';
import { MetricsPage, MOST_PAGES, READ_TIMEOUT_MS } from '#core/program/metrics-page.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';

/** More than the kernel takes for a client that does not read. */
const LARGE = 'x'.repeat(8 * 1024 * 1024);

describe('metrics page of a program', () => {
  let written = 0;
  let monotonicMs = 0;
  let write: (out: Exposition) => void;
  let timers: ManualTimers;
  let server: http.Server;
  let port = 0;
  let inTransit: Set<http.ServerResponse>;
  const greedy: net.Socket[] = [];

  beforeEach(async () => {
    written = 0;
    write = (out) => out.add([gauge('written', 'Times.', written)]);
    timers = new ManualTimers();
    inTransit = new Set();
    const page = new MetricsPage(
      (out) => {
        written++;
        write(out);
      },
      timers,
      () => monotonicMs,
    );
    server = http.createServer((request, response) => {
      inTransit.add(response);
      response.once('close', () => inTransit.delete(response));
      page.answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => {
    for (const socket of greedy.splice(0)) socket.destroy();
    server.close();
    server.closeAllConnections();
  });

  const get = (method = 'GET', accept?: string): Promise<{ body: string; type: string; length: number }> =>
    new Promise((resolve, reject) => {
      const headers = accept === undefined ? {} : { accept };
      const request = http.request({ host: '127.0.0.1', port, path: '/metrics', method, headers, agent: false }, (response) => {
        let body = '';
        response.on('data', (text) => (body += text));
        response.on('end', () =>
          resolve({ body, type: response.headers['content-type'] ?? '', length: Number(response.headers['content-length']) }),
        );
      });
      request.on('error', reject);
      request.end();
    });

  /** Asks and never reads. */
  async function hang(): Promise<{ closed: boolean }> {
    const state = { closed: false };
    const before = inTransit.size;
    const socket = net.connect({ host: '127.0.0.1', port });
    greedy.push(socket);
    socket.pause();
    socket.on('error', () => {});
    socket.on('close', () => (state.closed = true));
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => inTransit.size > before, 'it is being answered');
    return state;
  }

  it('is written anew for a scrape now and then, in the format that it asks for', async () => {
    for (let i = 1; i <= 20; i++) {
      expect((await get()).body).to.contain(`written ${i}\n`);
      monotonicMs += 1000;
    }
    expect((await get()).type).to.equal(CONTENT_TYPES.text);
    const { type, body } = await get('GET', 'application/openmetrics-text; version=1.0.0');
    expect(type).to.equal(CONTENT_TYPES.openmetrics);
    expect(body).to.match(/\n# EOF\n$/);
  });

  it('has no body for HEAD, and its length', async () => {
    const { length } = await get();
    expect(await get('HEAD')).to.deep.include({ body: '', length });
  });

  it('is shared by a hundred scrapes at once: writing takes a twentieth of the time, after a burst of 50 ms', async () => {
    write = (out) => {
      monotonicMs += 20;
      out.add([gauge('written', 'Times.', written)]);
    };
    const crowd = await Promise.all(Array.from({ length: 100 }, () => get()));
    expect(crowd.every(({ body }) => /\nwritten [123]\n$/.test(body))).to.equal(true);
    expect(written).to.equal(3);
    monotonicMs += 139;
    await get();
    expect(written, 'the page of 20 ms is not paid for yet').to.equal(3);
    monotonicMs += 2;
    await get();
    expect(written).to.equal(4);
  });

  it('cuts off readers that are stuck, and meanwhile keeps a few pages at most for all of them', async () => {
    write = (out) => out.family('a', 'gauge', LARGE);
    const hanging: { closed: boolean }[] = [];
    for (let i = 0; i < MOST_PAGES + 4; i++) hanging.push(await hang());
    expect(written).to.equal(MOST_PAGES);
    expect((await get()).body).to.contain('# TYPE a gauge');
    expect(written).to.equal(MOST_PAGES);
    timers.advance(READ_TIMEOUT_MS - 1);
    expect(inTransit.size).to.equal(hanging.length);
    timers.advance(1);
    await until(() => inTransit.size === 0, 'they are cut off');
    for (const socket of greedy) socket.resume();
    await until(() => hanging.every(({ closed }) => closed), 'they notice');
    await get();
    expect(written).to.equal(MOST_PAGES + 1);
  });
});
