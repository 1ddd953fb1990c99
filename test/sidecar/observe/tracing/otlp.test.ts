// What the exporter reads of the environment itself: certificates, headers, compression.
import fs from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { expect } from 'chai';
import { generateServingAuthority, issueServing } from '#certs/serving.ts';
import { createSpanSender } from '#sidecar/observe/tracing/otlp.ts';

const DAY_MS = 86_400_000;

describe('a collector behind TLS', () => {
  const before = { ...process.env };
  let directory: string;
  let server: https.Server;
  let url: string;
  const requests: { headers: IncomingHttpHeaders; body: Buffer }[] = [];

  beforeEach(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-otlp-'));
    const authority = await generateServingAuthority('collector', Date.now(), DAY_MS);
    const { certificate, key } = await issueServing(authority, ['localhost'], Date.now(), DAY_MS);
    fs.writeFileSync(path.join(directory, 'ca.pem'), authority.certificate);
    server = https.createServer({ cert: certificate, key }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        requests.push({ headers: request.headers, body: Buffer.concat(chunks) });
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    url = `https://localhost:${(server.address() as AddressInfo).port}/v1/traces`;
    requests.length = 0;
  });

  afterEach(() => {
    server.close();
    server.closeAllConnections();
    fs.rmSync(directory, { recursive: true });
    for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
    Object.assign(process.env, before);
  });

  async function send(variables: Readonly<Record<string, string>>): Promise<string> {
    Object.assign(process.env, variables);
    let done = 0;
    const outcome = await createSpanSender(url, 1)
      .send(Buffer.from('spans'), () => done++)
      .then(
        ({ rejected }) => `rejected ${rejected}`,
        (error: Error) => error.message,
      );
    expect(done).to.equal(1);
    return outcome;
  }

  it('gets spans over TLS by the authority, and with the headers and the compression, that the variables say', async () => {
    const outcome = await send({
      OTEL_EXPORTER_OTLP_CERTIFICATE: path.join(directory, 'ca.pem'),
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    });
    expect(outcome).to.equal('rejected 0');
    const [{ headers, body }] = requests;
    expect(headers).to.include({ authorization: 'Bearer x', 'content-type': 'application/x-protobuf' });
    expect(zlib.gunzipSync(body).toString()).to.equal('spans');
  });

  it('gets none when nobody vouches for it, whatever else is wrong', async () => {
    expect(await send({})).to.match(/certificate/);
    expect(await send({ OTEL_EXPORTER_OTLP_CERTIFICATE: path.join(directory, 'none.pem') })).to.match(/certificate/);
    expect(await send({ OTEL_EXPORTER_OTLP_HEADERS: 'two words=1' })).to.match(/two words/);
    expect(requests).to.deep.equal([]);
  });
});
