// Heads of HTTP/1.1 as they are written: what was read comes out again, and what HTTP/2 let in that HTTP/1.1 must not
// carry does not.
import { expect } from 'chai';
import fc from 'fast-check';
import { type Field, makeField } from '#sidecar/http/field.ts';
import { fieldNames } from '#sidecar/http/field-name.ts';
import { Template } from '#sidecar/http/header-block.ts';
import type { HeaderSource } from '#sidecar/http/header-source.ts';
import { Interned } from '#sidecar/http/interned.ts';
import { Output } from '#sidecar/http/output.ts';
import { targetIn, varyingFault, writeSection, writtenFields, writtenRequest } from '#sidecar/http1/head-writer.ts';
import { MessageFault } from '#sidecar/http1/message.ts';
import { RequestHeads } from '#sidecar/http1/request-head.ts';
import { Section } from '#sidecar/http1/section.ts';

/** What an output writes, at once. */
function written(write: (out: Output) => void): string {
  let text = '';
  const out = new Output(
    {
      write: (octets, done) => {
        text += octets.toString('latin1');
        done();
      },
      end: () => {},
      destroy: () => {},
    },
    () => {},
  );
  write(out);
  out.flush();
  return text;
}

function writeRequest(out: Output, source: HeaderSource, varying: readonly Field[]): void {
  const head = writtenRequest(source);
  writeSection(out, `${head.method} ${targetIn(source, varying)}`, head.octets, varying, '');
}

/** A request as it is read and then written again. */
function rewritten(text: string): string {
  const octets = Buffer.from(text, 'latin1');
  const section = new Section();
  section.begin(true);
  section.take(octets, 0, octets.length);
  const head = new RequestHeads(new Interned(fieldNames, 1, () => {})).read(section);
  if (head instanceof MessageFault) throw new Error(head.reason);
  const { template, varying } = head.block;
  return written((out) => writeRequest(out, template.source, varying));
}

/** A header source as HTTP/2 makes it. */
function fromHttp2(...list: string[]): HeaderSource {
  const fields = [];
  for (let i = 0; i < list.length; i += 2) fields.push(makeField(list[i]!, list[i + 1]!, false, i + 1));
  return new Template(fields).source;
}

const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '/'];

describe('writing HTTP/1.1', () => {
  it('keeps values octet for octet and names in their case', () => {
    const name = fc.constantFrom('Accept', 'aCCEPT', 'X-One', 'x-two', 'ETag', 'X-Request-ID', 'X_under', "!#$%&'*+-.^`|~9");
    const value = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', ',', '"', '\xe9', '\xff', ':', ';', '\t'), maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            name,
            value.map((text) => text.trim()),
          ),
          { maxLength: 12 },
        ),
        (fields) => {
          const lines = fields.map(([spelled, content]) => `${spelled}: ${content}`);
          const out = rewritten(`GET /p?q HTTP/1.1\r\nHost: a:80\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
          const all = out.split('\r\n');
          expect(all.slice(0, 2)).deep.equal(['GET /p?q HTTP/1.1', 'Host: a:80']);
          const lower = (line: string): string => line.slice(0, line.indexOf(':')).toLowerCase();
          for (const one of new Set(lines.map(lower))) {
            const those = all.slice(2).filter((line) => lower(line) === one);
            const wanted = lines.filter((line) => lower(line) === one);
            expect(those.map((line) => line.slice(one.length))).deep.equal(wanted.map((line) => line.slice(one.length)));
            // Where one list spells a name in two ways, the first may stand for both.
            expect(those[0]!.slice(0, one.length)).equal(wanted[0]!.slice(0, one.length));
          }
          expect(all.length).equal(lines.length + 4);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('reads what it has written as the same request', () => {
    const text = 'OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nX-A: b\r\nTE: trailers\r\nConnection: TE\r\n\r\n';
    expect(rewritten(text)).equal(text);
    expect(rewritten(rewritten(text))).equal(text);
  });

  it('writes nothing of the connection and the framing as it came, and no origin', () => {
    const text = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nContent-Length: 0\r\n\r\n';
    expect(rewritten(text)).equal('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  });

  it('joins the crumbs of a cookie that came by HTTP/2', () => {
    const crumbs = [makeField('cookie', 'c=3', false, 0), makeField('x', 'y', false, 0), makeField('cookie', 'd=4', false, 0)];
    const stable = fromHttp2(...GET, 'cookie', 'a=1', 'x', 'z', 'cookie', 'b=2');
    expect(writtenRequest(stable).octets.toString('latin1')).match(/x: z\r\ncookie: a=1; b=2\r\n$/);
    expect(written((out) => writeSection(out, '', Buffer.alloc(0), crumbs, ''))).equal('cookie: c=3; d=4\r\nx: y\r\n\r\n');
  });

  describe('writes no request of', () => {
    const bad: Readonly<Record<string, string[]>> = {
      'a method with a tab': [':method', 'GET\t/x', ...GET.slice(2)],
      'a method that is no token': [':method', 'G(T', ...GET.slice(2)],
      'a path with a tab': [...GET.slice(0, 7), '/a\tHTTP/1.1'],
      'a path with a control character': [...GET.slice(0, 7), '/a\x01'],
      'a path beyond ASCII': [...GET.slice(0, 7), '/\xe9'],
      'a path with a fragment': [...GET.slice(0, 7), '/a#b'],
      'an authority with a space': [':method', 'GET', ':scheme', 'http', ':authority', 'a b', ':path', '/'],
      'an authority with a comma': [':method', 'GET', ':scheme', 'http', ':authority', 'a,b', ':path', '/'],
      'a host that is none': [':method', 'GET', ':scheme', 'http', ':path', '/', 'host', 'a/b'],
      CONNECT: [':method', 'CONNECT', ':authority', 'a:80'],
      'a name that is no token': [...GET, 'x(y', 'z'],
      'a value with a control character': [...GET, 'x', 'a\x01b'],
      'a value with DEL': [...GET, 'x', '\x7f'],
    };
    for (const [name, list] of Object.entries(bad))
      it(name, () => expect(writtenRequest(fromHttp2(...list)).fault === '' && targetIn(fromHttp2(...list), []) !== '').equal(false));
    it('a varying field that is none', () => {
      expect(varyingFault([makeField('etag', 'a\x0bb', false, 0)])).not.equal('');
      expect(varyingFault([makeField('x y', 'a', false, 0)])).not.equal('');
      expect(varyingFault([makeField('etag', 'a b\t\xff', false, 0)])).equal('');
    });
  });

  it('writes one host, of :authority or else of the field', () => {
    expect(writtenRequest(fromHttp2(...GET, 'host', 'a')).octets.toString('latin1')).equal(' HTTP/1.1\r\nHost: a\r\n');
    const list = [':method', 'GET', ':scheme', 'http', ':path', '/', 'host', 'b'];
    expect(writtenRequest(fromHttp2(...list)).octets.toString('latin1')).equal(' HTTP/1.1\r\nHost: b\r\n');
  });

  it('writes a response without what belongs to its connection', () => {
    expect(writtenFields(fromHttp2(':status', '200', 'x', 'y', 'weft-origin', 'z')).octets.toString('latin1')).equal('x: y\r\n');
  });
});
