// The metrics pages of two sidecars under what is done to them: methods that clients make up, a crowd of scrapers,
// scrapers that never read.
import http from 'node:http';
import net from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { expect } from 'chai';
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { named, type Parsed, parseExposition } from '../support/exposition.ts';

const MADE_UP = 300;
const SCRAPERS = 100;
/** Each address may have so many connections to the admin port. */
const PER_ADDRESS = 20;
const octets = (text: Buffer): Buffer => text;

describe('metrics pages', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true },
      ],
      services: { echo: ['v1'], v2: [] },
    });
  });
  after(() => echo.close());

  const page = async (pod: string): Promise<Parsed> => parseExposition(await echo.mesh.admin(pod, '/metrics'));

  it('count methods that exist by name, and all that clients make up as one', async () => {
    const { host, port } = echo.mesh.address('caller', 'echo');
    const client = new grpc.Client(`${host}:${port}`, grpc.credentials.createInsecure());
    const call = (path: string): Promise<number> =>
      new Promise((resolve) => client.makeUnaryRequest(path, octets, octets, Buffer.alloc(0), (error) => resolve(error?.code ?? 0)));
    const codes = await Promise.all(Array.from({ length: MADE_UP }, (_, i) => call(`/test.Echo/Method${i}`)));
    client.close();
    expect(new Set(codes)).to.deep.equal(new Set([grpc.status.UNIMPLEMENTED]));
    expect((await echo.caller.unary()).code).to.equal(0);
    for (const [pod, name, direction] of [
      ['caller', 'grpc_client_handled_total', 'outbound'],
      ['v1', 'grpc_server_handled_total', 'inbound'],
    ]) {
      const { samples } = await page(pod);
      expect(
        named(samples, name).map(({ labels, value }) => [labels.grpc_service, labels.grpc_method, labels.grpc_code, value]),
      ).to.have.deep.members([
        ['other', 'other', 'Unimplemented', MADE_UP],
        ['test.Echo', 'Unary', 'OK', 1],
      ]);
      expect(named(samples, 'weft_requests_total', { direction, method: 'other' }).map(({ value }) => value)).to.deep.equal([MADE_UP]);
      expect(named(samples, 'weft_requests_in_flight', { direction }).map(({ value }) => value)).to.deep.equal([0]);
    }
  });

  it('are given to a crowd, and calls go on beside it and beside scrapers that never read', async () => {
    const host = echo.mesh.podAddress('caller');
    const silent = Array.from({ length: PER_ADDRESS }, () => {
      const socket = net.connect({ host, port: SIDECAR_ADMIN_PORT, localAddress: '127.0.0.99' });
      socket.on('error', () => {});
      socket.pause();
      socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(10));
      return socket;
    });
    const scrape = (i: number): Promise<string> =>
      new Promise((resolve, reject) => {
        const from = { host, port: SIDECAR_ADMIN_PORT, localAddress: `127.0.0.${100 + Math.floor(i / PER_ADDRESS)}`, agent: false };
        const headers = { accept: 'application/openmetrics-text; version=1.0.0' };
        http
          .get({ ...from, path: '/metrics', headers }, (response) => {
            let text = '';
            response.on('data', (part) => (text += part));
            response.on('end', () => resolve(text));
          })
          .on('error', reject);
      });
    const [outcomes, pages] = await Promise.all([
      Promise.all(Array.from({ length: 50 }, () => echo.caller.unary())),
      Promise.all(Array.from({ length: SCRAPERS }, (_, i) => scrape(i))),
    ]);
    for (const socket of silent) socket.destroy();
    expect(outcomes.map(({ code }) => code)).to.deep.equal(outcomes.map(() => 0));
    for (const text of pages) parseExposition(text, 'openmetrics');
  });
});
