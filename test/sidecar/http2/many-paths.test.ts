// A client that asks for ever new paths, as those of HTTP APIs do: what it makes us remember is bounded, and drives out
// nothing of the calls beside it.
import { expect } from 'chai';
import { newHeaderSource } from '#sidecar/http/header-source.ts';
import { HpackDecoder } from '#sidecar/http2/hpack-decoder.ts';
import { HpackEncoder } from '#sidecar/http2/hpack-encoder.ts';
import { block } from '#test/support/raw-peer.ts';

const PATHS = 5000;

function requestTo(path: string): string[] {
  return [':method', 'GET', ':scheme', 'http', ':path', path, ':authority', 'catalog', 'accept', '*/*'];
}

describe('a connection with ever new paths', () => {
  it('keeps the templates of paths that it knew, and no more octets', () => {
    const decoder = new HpackDecoder(4096);
    const decode = (path: string) => {
      const octets = block(requestTo(path));
      return decoder.decode(octets, 0, octets.length);
    };
    const { template } = decode('/known');
    for (let i = 0; i < 200; i++) decode(`/items/${i}`);
    const octets = decoder.rememberedOctets;
    for (let i = 0; i < PATHS; i++) {
      const one = decode(`/items/x${i}`);
      expect(one.template.path).equal(`/items/x${i}`);
      expect(one.template.requestFault()).equal('');
      expect(one.list()).deep.equal(requestTo(`/items/x${i}`));
    }
    expect(decode('/known').template).equal(template);
    expect(decoder.rememberedOctets).equal(octets);
  });

  it('leaves the table and the remembered bytes of an encoder as they are', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096);
    const known = newHeaderSource(requestTo('/known'), null);
    const send = (source: ReturnType<typeof newHeaderSource>) => {
      const octets = Buffer.from(encoder.encode(source));
      return decoder.decode(octets, 0, octets.length).list();
    };
    send(known);
    send(known);
    const { generation } = encoder;
    const bytes = encoder.encode(known);
    for (let i = 0; i < PATHS; i++) {
      const source = newHeaderSource(requestTo(`/items/${i}`), null);
      source.passing = true;
      expect(send(source)).deep.equal(requestTo(`/items/${i}`));
    }
    expect(encoder.generation).equal(generation);
    expect(encoder.encode(known)).equal(bytes);
  });
});
