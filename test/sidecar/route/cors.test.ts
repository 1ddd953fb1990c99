// What a CORS filter says to browsers (the Fetch standard, "CORS protocol").
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { type Cors, CorsSchema, FilterSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { compileCors } from '#sidecar/route/compile/http-filters.ts';
import { corsEdits, isPreflight, preflightHeaders } from '#sidecar/route/cors.ts';
import { applyEdits } from '#sidecar/route/edit.ts';

function corsOf(cors: Partial<Omit<Cors, '$typeName' | '$unknown'>>) {
  return compileCors([create(FilterSchema, { kind: { case: 'cors', value: create(CorsSchema, { maxAgeSeconds: 5, ...cors }) } })], '')!;
}

/** Headers as a browser reads them. */
function read(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]));
}

const preflight = (origin: string, method = 'PUT', names?: string) => [
  'origin',
  origin,
  'access-control-request-method',
  method,
  ...(names === undefined ? [] : ['access-control-request-headers', names]),
];

describe('CORS', () => {
  it('tells a preflight by its method, origin and what it asks', () => {
    expect(isPreflight('OPTIONS', preflight('https://a.org'))).to.equal(true);
    expect(isPreflight('GET', preflight('https://a.org'))).to.equal(false);
    expect(isPreflight('OPTIONS', ['origin', 'https://a.org'])).to.equal(false);
  });

  it('answers a preflight of an origin that is allowed with all that is', () => {
    const cors = corsOf({
      allowOrigins: ['https://a.org', 'https://*.b.org:*'],
      allowMethods: ['GET', 'PUT'],
      allowHeaders: ['x-one'],
      allowCredentials: true,
      maxAgeSeconds: 60,
    });
    for (const origin of ['https://a.org', 'https://x.y.b.org:8443'])
      expect(read(preflightHeaders(cors, preflight(origin)))).to.include({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, PUT',
        'access-control-allow-headers': 'x-one',
        'access-control-max-age': '60',
      });
  });

  it('says nothing to an origin that is not allowed, near as it may be', () => {
    const cors = corsOf({ allowOrigins: ['https://a.org', 'https://*.b.org'] });
    for (const origin of [
      'https://a.org.evil',
      'https://xa.org',
      'http://a.org',
      'https://aXorg',
      'https://b.org',
      'https://x.b.org/',
      'null',
    ])
      expect(Object.keys(read(preflightHeaders(cors, preflight(origin)))), origin).to.deep.equal(['vary']);
  });

  it('says "*" only without credentials, and names what was asked with them', () => {
    const open = { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] };
    expect(read(preflightHeaders(corsOf(open), preflight('https://a.org', 'PUT', 'x-a')))).to.include({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': '*',
      'access-control-allow-headers': '*',
    });
    expect(read(preflightHeaders(corsOf({ ...open, allowCredentials: true }), preflight('https://a.org', 'PUT', 'x-a')))).to.include({
      'access-control-allow-origin': 'https://a.org',
      'access-control-allow-methods': 'PUT',
      'access-control-allow-headers': 'x-a',
    });
  });

  it("takes the place of what the endpoint's answer says of CORS", () => {
    const answer = [':status', '200', 'access-control-allow-origin', '*', 'access-control-max-age', '9', 'vary', 'Accept'];
    const cors = corsOf({ allowOrigins: ['https://a.org'], exposeHeaders: ['x-one', 'x-two'] });
    expect(read(applyEdits(answer, corsEdits(cors, 'https://a.org')))).to.deep.equal({
      ':status': '200',
      vary: 'Accept,Origin',
      'access-control-allow-origin': 'https://a.org',
      'access-control-expose-headers': 'x-one, x-two',
    });
    for (const origin of [null, 'https://b.org'])
      expect(read(applyEdits(answer, corsEdits(cors, origin)))).to.deep.equal({ ':status': '200', vary: 'Accept,Origin' });
  });
});
