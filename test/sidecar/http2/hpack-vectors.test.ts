// HPACK against the examples of RFC 7541 Appendix C, and against blocks that are broken in every way the RFC names.
import { expect } from 'chai';
import type { HeaderBlock } from '#sidecar/http/header-block.ts';
import { newHeaderSource } from '#sidecar/http/header-source.ts';
import { MAX_HEADER_FIELDS, MAX_HEADER_LIST_OCTETS, MAX_REMEMBERED_OCTETS } from '#sidecar/http/limits.ts';
import { HpackDecoder, HpackError } from '#sidecar/http2/hpack-decoder.ts';
import { HpackEncoder } from '#sidecar/http2/hpack-encoder.ts';
import { DECODER_TABLE_SIZE } from '#sidecar/http2/limits.ts';
import { block, indexed, literal } from '#test/support/raw-peer.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s/g, ''), 'hex');
}

function decode(decoder: HpackDecoder, octets: Buffer): string[] {
  return decoder.decode(octets, 0, octets.length).list();
}

const REQUESTS = [
  [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
  [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com', 'cache-control', 'no-cache'],
  [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com', 'custom-key', 'custom-value'],
];
const PLAIN_REQUESTS = [
  '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
  '8286 84be 5808 6e6f 2d63 6163 6865',
  '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
];
const HUFFMAN_REQUESTS = [
  '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
  '8286 84be 5886 a8eb 1064 9cbf',
  '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
];

// Our decoder puts fields that vary, such as date, behind the others.
const DATE = 'Mon, 21 Oct 2013 20:13:21 GMT';
const LATER = 'Mon, 21 Oct 2013 20:13:22 GMT';
const AT = 'https://www.example.com';
const COOKIE = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const RESPONSES = [
  [':status', '302', 'cache-control', 'private', 'location', AT, 'date', DATE],
  [':status', '307', 'cache-control', 'private', 'location', AT, 'date', DATE],
  [':status', '200', 'cache-control', 'private', 'location', AT, 'content-encoding', 'gzip', 'set-cookie', COOKIE, 'date', LATER],
];
const PLAIN_RESPONSES = [
  `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073
   3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
  '4803 3330 37c1 c0bf',
  `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48
   514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
];
const HUFFMAN_RESPONSES = [
  `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae
   43d3`,
  '4883 640e ffc1 c0bf',
  `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af
   2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
];

describe('HPACK, RFC 7541 Appendix C', () => {
  it('C.2 decodes each representation', () => {
    const decoder = new HpackDecoder(4096);
    expect(decode(decoder, hex('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'))).deep.equal([
      'custom-key',
      'custom-header',
    ]);
    expect(decode(decoder, indexed(62))).deep.equal(['custom-key', 'custom-header']);
    expect(decode(decoder, hex('040c 2f73 616d 706c 652f 7061 7468'))).deep.equal([':path', '/sample/path']);
    const secret = hex('1008 7061 7373 776f 7264 0673 6563 7265 74');
    const never = decoder.decode(secret, 0, secret.length);
    expect(never.list()).deep.equal(['password', 'secret']);
    expect([...(never.template.source.never ?? [])]).deep.equal(['password']);
    expect(decode(decoder, hex('82'))).deep.equal([':method', 'GET']);
  });

  const sequences: [string, string[], string[][], number][] = [
    ['C.3 requests without Huffman', PLAIN_REQUESTS, REQUESTS, 4096],
    ['C.4 requests with Huffman', HUFFMAN_REQUESTS, REQUESTS, 4096],
    ['C.5 responses without Huffman, with eviction', PLAIN_RESPONSES, RESPONSES, 256],
    ['C.6 responses with Huffman, with eviction', HUFFMAN_RESPONSES, RESPONSES, 256],
  ];
  for (const [title, blocks, lists, tableSize] of sequences) {
    it(`${title}: decoded`, () => {
      const decoder = new HpackDecoder(tableSize);
      blocks.forEach((octets, i) => {
        expect(decode(decoder, hex(octets))).deep.equal(lists[i]);
      });
    });
  }

  it('C.3 encoded: the very octets', () => {
    const encoder = new HpackEncoder();
    REQUESTS.forEach((list, i) => {
      expect(encoder.encode(newHeaderSource(list, null)).toString('hex')).equal(hex(PLAIN_REQUESTS[i]).toString('hex'));
    });
  });
});

describe('HPACK decoder', () => {
  const broken: [string, Buffer][] = [
    ['index 0', hex('80')],
    ['an index past the table', indexed(62)],
    ['an integer without end', hex('ff ff ff ff ff ff ff ff 0f')],
    ['an integer cut off', hex('ff 80')],
    ['a string past the block', hex('00 05 61')],
    ['a field cut off after its name', hex('00 01 61')],
    ['a table size update after a field', hex('82 20')],
    ['a table size update above what was offered', hex('3f e2 1f')],
    ['Huffman padding of more than seven bits', hex('00 81 ff 01 61')],
    ['Huffman padding of zeros', hex('00 81 18 01 61')],
    ['the Huffman code for EOS', hex('00 84 ff ff ff ff 01 61')],
  ];
  for (const [what, octets] of broken) {
    it(`refuses ${what}`, () => {
      expect(() => decode(new HpackDecoder(4096), octets)).throw(HpackError);
    });
  }

  it('knows every octet in Huffman code, as the encoder of another implementation writes it', () => {
    // From Appendix B, a sample over all code lengths: 5 to 30 bits.
    const samples: [string, string][] = [
      ['0', '07'],
      ['a', '1f'],
      [' ', '53'],
      ['&', 'f8'],
      ['!', 'fe3f'],
      ['#', 'ffaf'],
      ['\\', 'fffe1f'.slice(0, 6)],
      ['\x00', 'ffc7'],
      ['\n', 'fffffff3'],
    ];
    for (const [char, code] of samples) {
      const octets = Buffer.concat([Buffer.from([0x00, 0x01, 0x78, 0x80 | (code.length / 2)]), hex(code)]);
      // A blank alone is white space around nothing.
      expect(decode(new HpackDecoder(4096), octets), JSON.stringify(char)).deep.equal(['x', char === ' ' ? '' : char]);
    }
  });

  it('takes table sizes up to what was offered', () => {
    const update = (size: number): Buffer => Buffer.from([0x3f, ((size - 31) & 0x7f) | 0x80, (size - 31) >> 7]);
    expect(decode(new HpackDecoder(DECODER_TABLE_SIZE), update(DECODER_TABLE_SIZE))).deep.equal([]);
    expect(() => decode(new HpackDecoder(DECODER_TABLE_SIZE), update(DECODER_TABLE_SIZE + 1))).throw(HpackError);
  });

  it('empties the table for a field larger than it, and goes on', () => {
    const decoder = new HpackDecoder(4096);
    decode(decoder, literal('a', 'b', 0x40));
    expect(decode(decoder, literal('big', 'v'.repeat(5000), 0x40))).deep.equal(['big', 'v'.repeat(5000)]);
    expect(() => decode(decoder, indexed(62))).throw(HpackError);
    decode(decoder, literal('c', 'd', 0x40));
    expect(decode(decoder, indexed(62))).deep.equal(['c', 'd']);
  });

  it('L2 says when a list is too large, by octets or by fields, and keeps the table right', () => {
    const decoder = new HpackDecoder(4096);
    const verdict = (octets: Buffer): boolean => decoder.decode(octets, 0, octets.length).tooLarge;
    const fields = (n: number): Buffer => block(Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? 'f' : '')));
    expect(verdict(fields(MAX_HEADER_FIELDS))).equal(false);
    expect(verdict(Buffer.concat([fields(MAX_HEADER_FIELDS), literal('in', 'table', 0x40)]))).equal(true);
    expect(decode(decoder, indexed(62))).deep.equal(['in', 'table']);
    expect(verdict(literal('n', 'v'.repeat(MAX_HEADER_LIST_OCTETS - 33)))).equal(false);
    expect(verdict(literal('n', 'v'.repeat(MAX_HEADER_LIST_OCTETS - 32)))).equal(true);
    // In Huffman code a block holds more: 'a' has five bits.
    const letters = Buffer.alloc(80_000, hex('18c6318c63'));
    const huffman = Buffer.concat([hex('00 01 78'), Buffer.from([0xff, 0x81, 0xf0, 0x04]), letters]);
    expect(verdict(huffman)).equal(true);
    expect(decode(decoder, indexed(62))).deep.equal(['in', 'table']);
  });

  it('sees a pseudo-header field behind a regular one, also behind one that varies', () => {
    for (const name of ['x', 'grpc-timeout', 'content-length']) {
      const octets = block([':method', 'GET', name, '1', ':path', '/', ':scheme', 'http']);
      expect(new HpackDecoder(4096).decode(octets, 0, octets.length).requestFault(), name).contain('pseudo-header');
    }
  });

  describe('where paths have no end', () => {
    const MANY = 5000;
    const decoder = new HpackDecoder(4096);
    const read = (...list: string[]): HeaderBlock => {
      const octets = block(list);
      return decoder.decode(octets, 0, octets.length);
    };
    before(() => {
      for (let i = 0; i < MANY; i++) read(':method', 'GET', ':path', `/users/${i}`, ':scheme', 'http', ':authority', 'a', 'x', 'y');
    });

    it('makes few templates, and each block has its path', () => {
      const one = read(':method', 'GET', ':path', '/users/a', ':scheme', 'http', ':authority', 'a', 'x', 'y');
      const other = read(':method', 'GET', ':path', '/users/b', ':scheme', 'http', ':authority', 'a', 'x', 'y');
      expect(one.template).equal(other.template);
      expect([one.path, other.path]).deep.equal(['/users/a', '/users/b']);
      expect([one.requestFault(), other.requestFault()]).deep.equal(['', '']);
      expect(one.list()).deep.equal([':method', 'GET', ':scheme', 'http', ':authority', 'a', 'x', 'y', ':path', '/users/a']);
    });

    it('gives a path that comes again a template of its own', () => {
      const list = [':method', 'POST', ':path', '/shop.Cart/Add', ':scheme', 'http'];
      read(...list);
      const second = read(...list);
      expect([second.hasVaryingPath, second.template.path]).deep.equal([false, '/shop.Cart/Add']);
      expect(read(...list).template).equal(second.template);
    });

    it('refuses one that stands behind a regular field, stands twice, is no path, or is in no request', () => {
      let unseen = MANY;
      const path = (): string => `/users/${++unseen}`;
      const bad: readonly string[][] = [
        [':method', 'GET', ':scheme', 'http', 'x', 'y', ':path', path()],
        [':method', 'GET', ':scheme', 'http', 'content-length', '1', ':path', path()],
        [':method', 'GET', ':scheme', 'http', ':path', path(), ':path', path()],
        [':method', 'GET', ':scheme', 'http', ':path', '/users/1', ':path', path()],
        [':method', 'GET', ':scheme', 'http', ':path', path(), ':path', '/users/1'],
        [':method', 'GET', ':path', path(), 'content-length', '1', ':scheme', 'http'],
        [':method', 'GET', ':path', path(), 'x', 'y', ':scheme', 'http'],
        [':method', 'GET', ':scheme', 'http', ':path', `a${path()}`],
        [':method', 'GET', ':scheme', 'http', ':path', `${path()} b`],
        [':method', 'GET', ':scheme', 'http', ':path', ''],
      ];
      for (const list of bad) expect(read(...list).requestFault(), `${list}`).not.equal('');
      expect(read(':status', '200', ':path', path()).responseFault()).not.equal('');
      expect(read(':path', path(), 'x', 'y').trailersFault()).not.equal('');
    });
  });

  it('remembers only so much, whatever it is sent', () => {
    const decoder = new HpackDecoder(4096);
    const large = literal('x-large', 'l'.repeat(4000), 0x40);
    decode(decoder, large);
    let pinned = 0;
    for (let i = 0; i < 3000; i++) {
      // A list of 15 × 4 kB out of 40 octets on the wire.
      const octets = Buffer.concat([...Array.from({ length: i % 16 }, () => indexed(62)), literal('x-unique', `${i}`)]);
      decoder.decode(octets, 0, octets.length);
      pinned = Math.max(pinned, pinnedOctets(decoder));
    }
    expect(pinned).within(16 * 1024, MAX_REMEMBERED_OCTETS);
    for (let i = 0; i < 100; i++) decode(decoder, literal('x-huge', `${i}`.repeat(20_000)));
    expect(pinnedOctets(decoder)).most(MAX_REMEMBERED_OCTETS);
  });
});

/** Octets of the lists that a decoder's templates keep, counted one by one. */
function pinnedOctets(decoder: HpackDecoder): number {
  const { interned } = decoder as unknown as {
    interned: { templates: Map<number, { fields: { size: number }[] }[]>; fields: Map<string, Map<string, { size: number }>> };
  };
  let octets = 0;
  for (const bucket of interned.templates.values()) for (const { fields } of bucket) for (const { size } of fields) octets += size;
  for (const byValue of interned.fields.values()) for (const { size } of byValue.values()) octets += size;
  return octets;
}
