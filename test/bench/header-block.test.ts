// The client of the realistic load: what it writes is what a decoder reads, and an answer that is not whole is an error.
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { FieldNames } from '#sidecar/http/field-name.ts';
import { HpackDecoder } from '#sidecar/http2/hpack-decoder.ts';
import { dice } from '#test/support/dice.ts';
import { type Header, HeaderBlockWriter } from '../../bench/header-block.ts';
import { RawCalls } from '../../bench/raw-calls.ts';

/** What a decoder has read, in the order of names: ours puts fields that vary behind the others. */
function sorted(list: readonly string[]): string[] {
  return list.flatMap((text, i) => (i % 2 === 0 ? [`${text}: ${list[i + 1]}`] : [])).sort();
}

describe('bench: header blocks', () => {
  it('decode to the headers that were written, whatever the table has by then', () => {
    const random = dice(41);
    const pick = (below: number): number => Math.floor(random() * below);
    const writer = new HeaderBlockWriter();
    const decoder = new HpackDecoder(4096, new FieldNames());
    for (let i = 0; i < 2000; i++) {
      const headers: Header[] = [
        [':method', 'POST'],
        [':path', `/a.B/${pick(3)}`],
        ['authorization', `Bearer ${'x'.repeat(250 + pick(2) * 9)}`],
      ];
      for (let n = pick(12); n > 0; n--) {
        const value = Array.from({ length: pick(40) }, () => String.fromCharCode(33 + pick(94))).join('');
        headers.push([`x-name-${pick(20)}`, pick(2) === 0 ? `one of ${pick(4)}` : `v${value}`]);
      }
      const block = Buffer.from(writer.encode(headers));
      expect(sorted(decoder.decode(block, 0, block.length).list())).to.deep.equal(
        headers.map(([name, value]) => `${name}: ${value}`).sort(),
      );
    }
  });
});

describe('bench: calls of the realistic load', () => {
  const run = async (answer: (stream: http2.ServerHttp2Stream) => void): Promise<boolean[]> => {
    const server = http2.createServer();
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      answer(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const ends: boolean[] = [];
    let begun = 0;
    let calls: RawCalls | null = null;
    await new Promise<void>((resolve) => {
      const next = (): readonly Header[] | null =>
        begun++ < 5
          ? [
              [':method', 'POST'],
              [':path', '/a.B/C'],
              [':scheme', 'http'],
              [':authority', 'b'],
            ]
          : null;
      const ended = (_ms: number, ok: boolean): void => {
        ends.push(ok);
        if (ends.length === 5) resolve();
      };
      calls = new RawCalls('127.0.0.1', port, 2, Buffer.from('body'), { next, ended });
    });
    calls!.stop();
    server.close();
    return ends;
  };
  const reply = (status: number, body: string, trailers: boolean) => (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ':status': status }, { waitForTrailers: trailers });
    if (trailers) stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(body);
  };

  it('are good with status 200, a body and trailers', async () => {
    expect(await run(reply(200, 'x', true))).to.deep.equal([true, true, true, true, true]);
  });

  it('are errors without trailers, with another status, when reset, and when the connection ends', async () => {
    const errors = [false, false, false, false, false];
    expect(await run(reply(200, 'x', false))).to.deep.equal(errors);
    expect(await run(reply(503, 'x', true))).to.deep.equal(errors);
    expect(await run((stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR))).to.deep.equal(errors);
    expect(await run((stream) => stream.session!.destroy())).to.deep.equal(errors);
  });
});
