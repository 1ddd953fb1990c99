// `weft trace` against something that answers as Jaeger does, or does not: words, exit codes, the JSON.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { runProgram } from '#cli/program.ts';
import { traceIdOf } from '#cli/trace/command.ts';
import { fetchTrace } from '#cli/trace/jaeger.ts';
import { Failure, UsageError } from '#core/program/failure.ts';
import { httpUrl } from '#core/program/http-url.ts';
import { CHECKOUT, jaegerAnswer, TRACE_ID } from './jaeger-answer.ts';

async function weft(env: Record<string, string>, ...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const into = (where: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        said[where] += chunk;
        done();
      },
    });
  const code = await runProgram(words, { stdout: into('out'), stderr: into('err'), env });
  return { code, ...said };
}

describe('weft trace', () => {
  let server: Server | null = null;
  const asked: string[] = [];

  async function serve(listener: RequestListener): Promise<string> {
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      listener(request, response);
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const answering =
    (status: number, body: string): RequestListener =>
    (_, response) => {
      response.writeHead(status).end(body);
    };

  afterEach(() => {
    asked.length = 0;
    server?.closeAllConnections();
    server?.close();
    server = null;
  });

  it('draws the trace, found by a shortened id too', async () => {
    const url = await serve(answering(200, JSON.stringify(jaegerAnswer(CHECKOUT))));
    const { code, out, err } = await weft({}, 'trace', TRACE_ID, '--jaeger', `${url}/`);
    expect({ code, err }).to.deep.equal({ code: 0, err: '' });
    expect(out).to.match(new RegExp(`^trace ${TRACE_ID}  48.2 ms  5 spans  2026-11-21 17:23:54Z\n\ncheckout  POST /checkout `));
    await weft({ WEFT_JAEGER_URL: `${url}/ui` }, 'trace', 'F1');
    expect(asked).to.deep.equal([`/api/traces/${TRACE_ID}`, '/ui/api/traces/000000000000000000000000000000f1']);
  });

  it('prints JSON for programs', async () => {
    const url = await serve(answering(200, JSON.stringify(jaegerAnswer(CHECKOUT))));
    const { traceId, spans, ...times } = JSON.parse((await weft({}, 'trace', TRACE_ID, '--jaeger', url, '-o', 'json')).out);
    expect(times).to.deep.equal({ startUnixMs: 1_795_281_834_123, durationMs: 48.2 });
    expect(traceId).to.equal(TRACE_ID);
    expect(spans).to.have.length(CHECKOUT.length);
    expect(spans[1]).to.deep.include({
      parentId: '00f067aa0ba902b7',
      service: 'checkout',
      startMs: 2.1,
      durationMs: 41.2,
      status: 'UNAVAILABLE',
      error: true,
      remark: null,
    });
    expect(spans[1].attributes['weft.backend']).to.equal('shop/payment-v2:8080');
    expect(spans[1].events[0]).to.deep.include({ name: 'retry', atMs: 14.4 });
  });

  it('prints no JSON that steers a terminal', async () => {
    const odd = '\u001b[2J\u009b2J\u202e\u2028\u{e0041}';
    const url = await serve(answering(200, JSON.stringify(jaegerAnswer([{ ...CHECKOUT[0], name: odd }]))));
    const { out } = await weft({}, 'trace', TRACE_ID, '--jaeger', url, '-o', 'json');
    expect(out).to.match(/^[\n -~]*$/);
    expect(JSON.parse(out).spans[0].name).to.equal(odd);
  });

  it('says what to look at when the trace is not there', async () => {
    const url = await serve(answering(404, '{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}'));
    const { code, out, err } = await weft({}, 'trace', TRACE_ID, '--jaeger', url);
    expect({ code, out }).to.deep.equal({ code: 1, out: '' });
    expect(err).to.match(new RegExp(`^weft: Jaeger at ${url} has no trace ${TRACE_ID}\n  - spans arrive`));
  });

  for (const [name, status, body, words] of [
    ['an empty list', 200, '{"data":[]}', /has no trace/],
    ['a list of nothing', 200, '{"data":[{"spans":[null,{},7]}]}', /has no trace/],
    ['a page for people', 200, '<html>', /but not as Jaeger's query API does/],
    ['another program', 404, '404 page not found', /answers 404, but not as Jaeger/],
    ['a number', 200, '7', /but not as Jaeger/],
    ['trouble of its own', 500, '{"errors":[{"code":500,"msg":"no storage\\u001b[2J"}]}', /answers 500: "no storage\\u001b\[2J"/],
    ['trouble that steers', 500, '{"errors":[{"msg":"\\u009b2J\\u202e"}]}', /answers 500: "\\u009b2J\\u202e"/],
  ] as const) {
    it(`ends with code 1 on ${name}`, async () => {
      const { code, err } = await weft({}, 'trace', '1', '--jaeger', await serve(answering(status, body)));
      expect(code).to.equal(1);
      expect(err).to.match(words);
    });
  }

  it('names the URL of a Jaeger that is away, does not answer or breaks off', async () => {
    const url = await serve((request) => request.socket.destroy());
    const broken = await weft({}, 'trace', '1', '--jaeger', url);
    expect(broken.code).to.equal(1);
    expect(broken.err).to.include(`no answer from Jaeger at ${url}: `);
    server!.close();
    server!.closeAllConnections();
    expect((await weft({}, 'trace', '1', '--jaeger', url)).err).to.include(`no answer from Jaeger at ${url}: ECONNREFUSED`);
    const silent = await serve(() => {});
    const late = await fetchTrace(silent, TRACE_ID, 50).catch((error) => error);
    expect(late).to.be.instanceOf(Failure);
    expect(late.message).to.include('none within 0.05 s');
  });

  it('refuses what is no id with code 2, and finds the id in what holds one', async () => {
    for (const word of ['xyz', '', '0', '0'.repeat(32), '1'.repeat(33), '../api', `${TRACE_ID}g`]) {
      expect(() => traceIdOf(word), word).to.throw(UsageError, 'it is 32 hexadecimal digits');
    }
    expect(() => traceIdOf(`00-${TRACE_ID}-00f067aa0ba902b7-01`)).to.throw(UsageError, `did you mean ${TRACE_ID}?`);
    expect(() => traceIdOf('4bf92f35-77b3-4da6-a3ce-929d0e0e4736')).to.throw(UsageError, `did you mean ${TRACE_ID}?`);
    expect(traceIdOf(TRACE_ID.toUpperCase())).to.equal(TRACE_ID);
    expect((await weft({}, 'trace', 'xyz')).code).to.equal(2);
    expect((await weft({}, 'trace')).code).to.equal(2);
    const wrong = await weft({ WEFT_JAEGER_URL: 'jaeger:16686' }, 'trace', '1');
    expect(wrong).to.deep.equal({
      code: 2,
      out: '',
      err: 'weft: WEFT_JAEGER_URL "jaeger:16686" is not an http:// or https:// URL: did you mean http://jaeger:16686?\n',
    });
  });

  it('reads URLs as people write them', () => {
    expect(httpUrl('https://otel.example/base//', '--otlp')).to.equal('https://otel.example/base');
    for (const [text, hint] of [
      ['localhost:4318', 'did you mean http://localhost:4318?'],
      ['grpc://collector:4317', 'did you mean http://collector:4317?'],
      ['http//collector:4318', 'did you mean http://collector:4318?'],
      ['http://a/?x=1', 'did you mean http://a/?'],
      ['', 'it is like http://127.0.0.1:4318'],
      ['http://', 'it is like'],
      ['http://a b', 'did you mean http://ab?'],
    ]) {
      expect(() => httpUrl(text, '--otlp'), text).to.throw(UsageError, hint);
    }
  });
});
