// Paths after a change, and where redirects lead: the tables of the Gateway API.
import { expect } from 'chai';
import type { PathChangeRecord, RedirectRecord } from '#sidecar/route/records.ts';
import { changedPath, hostOf, locationOf } from '#sidecar/route/redirect.ts';

const prefix = (matched: string, replacement: string): PathChangeRecord => ({ kind: 'prefix', matched, replacement });

describe('changedPath', () => {
  // HTTPPathModifier.replacePrefixMatch; a slash at the end of either means nothing, so compile() takes it off.
  const cases: [path: string, matched: string, replacement: string, changed: string][] = [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo?a=/b', '/foo', '', '/?a=/b'],
    ['/a', '', '/xyz', '/xyz/a'],
    ['/', '', '/xyz', '/xyz/'],
  ];
  for (const [path, matched, replacement, changed] of cases)
    it(`makes ${changed} of ${path} where ${matched || '/'} becomes ${replacement || '/'}`, () => {
      expect(changedPath(prefix(matched, replacement), path)).to.equal(changed);
    });

  it('keeps the query when the whole path is replaced, and everything without a change', () => {
    expect(changedPath({ kind: 'full', path: '/new' }, '/old?a=b?c')).to.equal('/new?a=b?c');
    expect(changedPath(null, '/old?a')).to.equal('/old?a');
  });
});

describe('locationOf', () => {
  const redirect = (more: Partial<RedirectRecord>): RedirectRecord => ({
    scheme: '',
    hostname: '',
    path: null,
    port: 0,
    status: 302,
    responseEdits: null,
    ...more,
  });
  const location = (more: Partial<RedirectRecord>, servicePort = 80, authority = 'echo:80', scheme = 'http') =>
    locationOf(redirect(more), { scheme, authority, path: '/a?b' }, servicePort);

  it("keeps what the redirect does not name, with the Service's port", () => {
    expect(location({})).to.equal('http://echo/a?b');
    expect(location({}, 8080, 'echo')).to.equal('http://echo:8080/a?b');
    expect(location({ hostname: 'example.org' }, 8080)).to.equal('http://example.org:8080/a?b');
  });

  it('takes the port of a scheme that the redirect names, and leaves out one that goes without saying', () => {
    expect(location({ scheme: 'https' }, 8080)).to.equal('https://echo/a?b');
    expect(location({ scheme: 'http' }, 8080)).to.equal('http://echo/a?b');
    expect(location({ port: 80 }, 8080)).to.equal('http://echo/a?b');
    expect(location({ scheme: 'https', port: 443 })).to.equal('https://echo/a?b');
    expect(location({ scheme: 'https', port: 80 })).to.equal('https://echo:80/a?b');
    expect(location({ port: 8083 })).to.equal('http://echo:8083/a?b');
  });

  it('keeps the brackets of an IPv6 address', () => {
    expect(hostOf('[fd00::1]:80')).to.equal('[fd00::1]');
    expect(hostOf('[fd00::1]')).to.equal('[fd00::1]');
    expect(location({}, 8080, '[fd00::1]:8080')).to.equal('http://[fd00::1]:8080/a?b');
  });
});
