// HTTP/1.1 messages as they are read: what is a message, what is refused, and that no way to cut the octets changes
// either.
import { expect } from 'chai';
import fc from 'fast-check';
import { MAX_HEADER_FIELDS, MAX_HEADER_LIST_OCTETS } from '#sidecar/http/limits.ts';
import { MAX_CHUNK_EXTENSION_OCTETS, MAX_CHUNK_LINE_OCTETS, MAX_SECTION_OCTETS, MAX_START_LINE_OCTETS } from '#sidecar/http1/limits.ts';
import { BAD_REQUESTS, BAD_RESPONSES } from './smuggling.ts';
import { cutsOf, fieldsIn, requestsIn, responsesIn } from './transcript.ts';

const PSEUDO = ':method=GET :scheme=http :authority=a :path=/';
const ORIGIN = 'weft-origin=http/1.1';

/** Well-formed requests on one connection, and what they are read as. */
const GOOD_REQUESTS: readonly (readonly [name: string, text: string, lines: readonly string[]])[] = [
  ['a plain one', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', [`head none 0: ${PSEUDO} ${ORIGIN}`, 'end']],
  ['an empty line in front', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', [`head none 0: ${PSEUDO} ${ORIGIN}`, 'end']],
  [
    'case and order of fields, white space around values',
    'GET / HTTP/1.1\r\nHOST:a\r\nX-B: \t1 \t\r\nx-a:2\r\nX-b:  3 4\r\nx-empty:\r\n\r\n',
    [`head none 0: ${PSEUDO} X-B=1 x-a=2 X-b=3 4 x-empty= ${ORIGIN}`, 'end'],
  ],
  [
    'two in a row, with content of a length',
    'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /POST /b HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n',
    [
      `head length 5: :method=POST :scheme=http :authority=a :path=/a ${ORIGIN} content-length=5`,
      'content GET /',
      'end',
      `head none 0: :method=POST :scheme=http :authority=b :path=/b ${ORIGIN} content-length=0`,
      'end',
    ],
  ],
  [
    'chunks with extensions and trailers',
    'PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b;c="d e"\r\nabc\r\n0A\r\n0123456789\r\n000;x\r\nX-Sum: 1\r\n\r\n',
    [`head chunked 0: :method=PUT :scheme=http :authority=a :path=/c ${ORIGIN}`, 'content abc0123456789', 'end X-Sum=1'],
  ],
  [
    'fields of the connection, and those it names',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, host\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nProxy-Connection: x\r\nTE: trailers, gzip\r\nX: y\r\n\r\n',
    [`head none 0: ${PSEUDO} X=y te=trailers ${ORIGIN}`, 'end'],
  ],
  ['an origin that a client claims', 'GET / HTTP/1.1\r\nHost: a\r\nWeft-Origin: mine\r\n\r\n', [`head none 0: ${PSEUDO} ${ORIGIN}`, 'end']],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', [`head none 0 close: :method=GET :scheme=http :path=/ ${ORIGIN}`, 'end']],
  ['HTTP/1.0 that keeps alive', 'GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n', [`head none 0: ${PSEUDO} ${ORIGIN}`, 'end']],
  ['close', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', [`head none 0 close: ${PSEUDO} ${ORIGIN}`, 'end']],
  [
    'absolute-form',
    'GET http://A:80?b HTTP/1.1\r\nHost: a:80\r\n\r\n',
    [`head none 0: :method=GET :scheme=http :authority=A:80 :path=/?b ${ORIGIN}`, 'end'],
  ],
  [
    'OPTIONS *',
    'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n',
    [
      `head none 0: :method=OPTIONS :scheme=http :authority=a :path=* ${ORIGIN}`,
      'end',
      `head none 0: :method=OPTIONS :scheme=http :authority=a :path=* ${ORIGIN}`,
      'end',
    ],
  ],
  [
    'CONNECT, which forwarding refuses',
    'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n',
    [`head none 0: :method=CONNECT :scheme=http :authority=a:443 ${ORIGIN}`, 'end'],
  ],
  [
    'an expectation',
    'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx',
    [`head length 1: :method=PUT :scheme=http :authority=a :path=/ Expect=100-continue ${ORIGIN} content-length=1`, 'content x', 'end'],
  ],
  [
    'a switch to WebSocket',
    'GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n',
    [
      `head tunnel 0 upgrade websocket: :method=CONNECT :protocol=websocket :scheme=http :authority=a :path=/s Sec-WebSocket-Key=k ${ORIGIN}`,
    ],
  ],
  [
    'a switch to HTTP/2, which is not made',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    [`head none 0: ${PSEUDO} ${ORIGIN}`, 'end'],
  ],
  [
    'an Upgrade that Connection does not name',
    'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n',
    [`head none 0: ${PSEUDO} ${ORIGIN}`, 'end'],
  ],
];

const GOOD_RESPONSES: readonly (readonly [
  name: string,
  text: string,
  asked: { head?: boolean; upgrade?: string },
  lines: readonly string[],
])[] = [
  [
    'of a length',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    {},
    ['head length 2: :status=200 content-length=2', 'content ok', 'end'],
  ],
  ['without a reason', 'HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n', {}, ['head none 0: :status=404 content-length=0', 'end']],
  ['without a space for it', 'HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n', {}, ['head none 0: :status=404 content-length=0', 'end']],
  [
    'in chunks with trailers',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n',
    {},
    ['head chunked 0: :status=200', 'content ok', 'end X-Sum=1'],
  ],
  ['up to the end', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\nok', {}, ['head until close 0 close: :status=200 X=y', 'content ok', 'end']],
  [
    'of HTTP/1.0',
    'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx',
    {},
    ['head length 1 close: :status=200 content-length=1', 'content x', 'end'],
  ],
  ['to HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', { head: true }, ['head none 9: :status=200 content-length=9', 'end']],
  ['to HEAD, chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', { head: true }, ['head none 0: :status=200', 'end']],
  ['204', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', {}, ['head none 0: :status=204', 'end']],
  [
    '304 with the length that it stands for',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    {},
    ['head none 9: :status=304 content-length=9', 'end'],
  ],
  [
    '100 and 103 in front',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    {},
    ['head none 0: :status=100', 'head none 0: :status=103 Link=x', 'head none 0: :status=200 content-length=0', 'end'],
  ],
  [
    'a switch that was asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x00any',
    { upgrade: 'websocket' },
    ['head tunnel 0 upgrade websocket: :status=200 weft-origin=switched', 'content \x00any', 'end'],
  ],
];

/** Fields in the order of their names, those of one name in their own. */
function byName(fields: readonly string[]): string[] {
  const names = [...new Set(fields.map((field) => field.split('=')[0]))].sort();
  return names.flatMap((name) => fields.filter((field) => field.split('=')[0] === name));
}

describe('reading HTTP/1.1', () => {
  for (const [name, text, lines] of GOOD_REQUESTS) {
    it(`takes requests in every cut: ${name}`, () => {
      for (const cuts of cutsOf(text.length)) expect(requestsIn(text, cuts), `${cuts}`).deep.equal(lines);
    });
  }

  for (const [name, text, asked, lines] of GOOD_RESPONSES) {
    it(`takes responses in every cut: ${name}`, () => {
      for (const cuts of cutsOf(text.length)) expect(responsesIn(text, asked, cuts, true), `${cuts}`).deep.equal(lines);
    });
  }

  describe('refuses in every cut, with the same reason', () => {
    for (const [name, text] of Object.entries(BAD_REQUESTS)) {
      it(`a request: ${name}`, () => {
        const whole = requestsIn(text);
        expect(whole.at(-1)).match(/^malformed: /);
        for (const cuts of cutsOf(text.length)) expect(requestsIn(text, cuts), `${cuts}`).deep.equal(whole);
      });
    }
    for (const [name, text] of Object.entries(BAD_RESPONSES)) {
      it(`a response: ${name}`, () => {
        const whole = responsesIn(text);
        expect(whole.at(-1)).match(/^malformed: /);
        for (const cuts of cutsOf(text.length)) expect(responsesIn(text, {}, cuts), `${cuts}`).deep.equal(whole);
      });
    }
  });

  it('refuses a bad request behind good ones, which stay as they are', () => {
    const good = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc';
    for (const bad of Object.values(BAD_REQUESTS)) {
      const lines = requestsIn(good + bad);
      expect(lines.slice(0, 3)).deep.equal(requestsIn(good));
      expect(lines.at(-1)).match(/^malformed: /);
    }
  });

  it('reads random octets that look like messages alike in all cuts', () => {
    const line = fc.constantFrom(
      'GET / HTTP/1.1',
      'POST /x HTTP/1.1',
      'HTTP/1.1 200 OK',
      'Host: a',
      'Content-Length: 3',
      'Transfer-Encoding: chunked',
      'X: y',
      ' fold',
      'Connection: close',
      '3',
      '0',
      '3;ext',
      'abc',
      '',
      'X\x01: y',
    );
    const lineEnd = fc.oneof({ weight: 20, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\r\n', ''));
    const text = fc.array(fc.tuple(line, lineEnd), { maxLength: 14 }).map((lines) => lines.flat().join(''));
    const cuts = fc.array(fc.nat(200), { maxLength: 12 });
    fc.assert(
      fc.property(
        fc.constantFrom('', 'GET / HTTP/1.1\r\nHost: a\r\n', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'),
        text,
        cuts,
        (start, rest, places) => {
          const whole = start + rest;
          const within = places.filter((place) => place < whole.length);
          expect(requestsIn(whole, within, true)).deep.equal(requestsIn(whole, [], true));
          expect(
            responsesIn(
              rest,
              {},
              within.filter((place) => place < rest.length),
              true,
            ),
          ).deep.equal(responsesIn(rest, {}, [], true));
        },
      ),
      { numRuns: 4000 },
    );
  });

  it('keeps random lists of fields octet for octet, in their case, lines of one name in their order', () => {
    const token = fc.string({ unit: fc.constantFrom(...'abXY0-!'), minLength: 1, maxLength: 3 }).map((name) => `z${name}`);
    const value = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', '\t', ',', '"', '\xe9', '\xff', ':', ';'), maxLength: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(token, value), { maxLength: 20 }), (fields) => {
        const text = fields.map(([name, content]) => `${name}:${content}\r\n`).join('');
        const shown = fields.map(([name, content]) => `${name}=${content.replace(/^[ \t]+|[ \t]+$/g, '')}`);
        const read = fieldsIn(`GET / HTTP/1.1\r\nHost: a\r\n${text}\r\n`).filter((line) => line.startsWith('z'));
        // Those whose values vary stand behind the others (http/field-name.ts), so that names are compared one by one.
        expect(byName(read)).deep.equal(byName(shown));
      }),
      { numRuns: 500 },
    );
  });

  it('knows the last head again, and no other one', () => {
    const heads = [
      'GET /a HTTP/1.1\r\nHost: a\r\n\r\n',
      '\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /b HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /a HTTP/1.0\r\nHost: a\r\n\r\n',
    ];
    const each = heads.map((text) => requestsIn(text));
    for (const first of [0, 1, 2, 3]) {
      for (const second of [0, 1, 2, 3]) {
        for (const text of [heads[first]! + heads[second]!, heads[first]!.repeat(2) + heads[second]!]) {
          const wanted = text === heads[first]! + heads[second]! ? [first, second] : [first, first, second];
          expect(requestsIn(text)).deep.equal(wanted.flatMap((i) => each[i]!));
        }
      }
    }
    expect(requestsIn(`${heads[0]}GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n`).at(-1)).match(/^malformed/);
  });

  it('knows where content was cut short', () => {
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    for (let length = 1; length < request.length; length++)
      expect(requestsIn(request.slice(0, length), [], true).at(-1)).equal('cut short');
    expect(requestsIn(request, [], true).at(-1)).equal('end');
    expect(responsesIn('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab', {}, [], true).at(-1)).equal('cut short');
  });

  describe('bounds', () => {
    const head = (fields: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
    const isTooLarge = (text: string): boolean => {
      const whole = requestsIn(text);
      const third = Math.floor(text.length / 3);
      for (const cuts of [[third, 2 * third], [text.length - 1]]) expect(requestsIn(text, cuts)).deep.equal(whole);
      return whole.at(-1)!.startsWith('too large');
    };

    it('the request line to MAX_START_LINE_OCTETS', () => {
      const line = (octets: number): string => `GET /${'x'.repeat(octets - 14)} HTTP/1.1\r\nHost: a\r\n\r\n`;
      expect(isTooLarge(line(MAX_START_LINE_OCTETS))).equal(false);
      expect(isTooLarge(line(MAX_START_LINE_OCTETS + 1))).equal(true);
    });

    it('the header list to MAX_HEADER_LIST_OCTETS and MAX_HEADER_FIELDS', () => {
      expect(isTooLarge(head(`X: ${'x'.repeat(MAX_HEADER_LIST_OCTETS - 1000)}\r\n`))).equal(false);
      expect(isTooLarge(head(`X: ${'x'.repeat(MAX_HEADER_LIST_OCTETS)}\r\n`))).equal(true);
      // With the four pseudo-header fields and the field of the origin, as HTTP/2 will count them.
      expect(isTooLarge(head('X: y\r\n'.repeat(MAX_HEADER_FIELDS - 5)))).equal(false);
      expect(isTooLarge(head('X: y\r\n'.repeat(MAX_HEADER_FIELDS - 4)))).equal(true);
      expect(isTooLarge(head('X: y\r\n'.repeat(3 * MAX_HEADER_FIELDS)))).equal(true);
    });

    it('a section to MAX_SECTION_OCTETS, before its end has come', () => {
      expect(isTooLarge(`GET / HTTP/1.1\r\nX: ${'x'.repeat(MAX_SECTION_OCTETS)}`)).equal(true);
      expect(requestsIn(`GET / HTTP/1.1\r\nX: ${'x'.repeat(MAX_SECTION_OCTETS - 100)}`)).deep.equal([]);
      expect(isTooLarge(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ${'x'.repeat(MAX_SECTION_OCTETS)}`)).equal(
        true,
      );
    });

    it('a chunk line to MAX_CHUNK_LINE_OCTETS, all extensions of a body to MAX_CHUNK_EXTENSION_OCTETS', () => {
      const chunks = (extension: number, count: number): string =>
        `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${`1;${'e'.repeat(extension)}\r\nx\r\n`.repeat(count)}0\r\n\r\n`;
      expect(requestsIn(chunks(900, 1)).at(-1)).equal('end');
      expect(requestsIn(chunks(MAX_CHUNK_LINE_OCTETS, 1)).at(-1)).match(/^malformed: chunk extensions/);
      expect(requestsIn(chunks(900, Math.floor(MAX_CHUNK_EXTENSION_OCTETS / 900))).at(-1)).equal('end');
      expect(requestsIn(chunks(900, Math.floor(MAX_CHUNK_EXTENSION_OCTETS / 900) + 1)).at(-1)).match(/^malformed: chunk extensions/);
      expect(requestsIn(chunks(0, 5000)).at(-1)).equal('end');
    });
  });
});
