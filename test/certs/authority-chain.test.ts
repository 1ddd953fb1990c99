// Authorities that were not made here: keys of other kinds, chains, and what must be refused before it is used.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { Authority, AuthorityError } from '#certs/authority.ts';

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
}

describe('certs/authority: made elsewhere', () => {
  let directory: string;
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  };
  const read = (name: string): string => readFileSync(path.join(directory, name), 'utf8');

  /** A certificate for this key: self-signed, or signed by another. */
  function certify(name: string, issuer: string | null, extensions: readonly string[], days = '365', into = name): void {
    writeFileSync(path.join(directory, `${name}.ext`), `${extensions.join('\n')}\n`);
    openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
    const by = issuer === null ? ['-signkey', `${name}.key`] : ['-CA', `${issuer}.crt`, '-CAkey', `${issuer}.key`, '-CAcreateserial'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-days', days, '-extfile', `${name}.ext`, '-out', `${into}.crt`);
  }

  const CA = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash'];

  before(function () {
    directory = mkdtempSync(path.join(tmpdir(), 'weft-ca-'));
    try {
      openssl('version');
    } catch {
      this.skip();
    }
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'root.key');
    certify('root', null, CA, '3650');
    openssl('ecparam', '-name', 'secp384r1', '-genkey', '-noout', '-out', 'p384.key');
    openssl('ecparam', '-name', 'secp521r1', '-genkey', '-noout', '-out', 'p521.key');
    openssl('genrsa', '-traditional', '-out', 'rsa.key', '2048');
    openssl('genpkey', '-algorithm', 'ed25519', '-out', 'ed.key');
    certify('root', null, CA, '30', 'earlier');
    certify('root', null, CA, '3000', 'later');
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'elder.key');
    certify('elder', null, CA);
    certify('root', 'elder', CA, '365', 'crossed');
    for (const name of ['server-only', 'issuing', 'tight', 'below', 'constrained', 'odd-id', 'weak-usage', 'p256'])
      openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
    certify('p384', 'root', CA);
    certify('p521', 'root', CA);
    certify('rsa', 'root', CA);
    certify('ed', 'root', CA);
    certify('p256', 'root', CA);
    certify('issuing', 'p256', CA);
    certify('tight', 'root', ['basicConstraints=critical,CA:TRUE,pathlen:0', ...CA.slice(1)]);
    certify('below', 'tight', CA);
    certify('constrained', 'root', [...CA, 'nameConstraints=critical,permitted;URI:.example.org']);
    certify('odd-id', 'root', [...CA.slice(0, 2), 'subjectKeyIdentifier=00:11:22:33:44:55:66:77']);
    certify('server-only', 'root', [...CA, 'extendedKeyUsage=serverAuth']);
    certify('weak-usage', 'root', ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature']);
  });

  after(() => rmSync(directory, { recursive: true, force: true }));

  const settings = { trustDomain: 'cluster.local', now: Date.now };
  const load = (name: string, more: { certificate?: string; issuers?: string; extraRoots?: string } = {}) =>
    Authority.load({ certificate: read(`${name}.crt`), key: read(`${name}.key`), ...more }, settings);

  async function refusal(promise: Promise<unknown>): Promise<string> {
    try {
      await promise;
    } catch (error) {
      expect(error).to.be.instanceOf(AuthorityError);
      return (error as Error).message;
    }
    return 'taken';
  }

  it('takes ECDSA keys of three curves and RSA keys, in PKCS#8, SEC1 and PKCS#1, with the root in ca.crt', async () => {
    for (const name of ['p256', 'p384', 'p521', 'rsa']) {
      openssl('pkcs8', '-topk8', '-nocrypt', '-in', `${name}.key`, '-out', `${name}.pkcs8`);
      for (const key of [read(`${name}.key`), read(`${name}.pkcs8`)]) {
        const authority = await Authority.load({ certificate: read(`${name}.crt`), key, issuers: read('root.crt') }, settings);
        const { chain } = await authority.issue(newKey(), 'shop', 'checkout');
        expect(chain.length, name).to.equal(2);
        expect(authority.rootsPem().trim()).to.equal(read('root.crt').trim());
      }
    }
  });

  it('sends the whole chain, wherever its parts stand', async () => {
    for (const more of [
      { certificate: read('issuing.crt') + read('p256.crt'), issuers: read('root.crt') },
      { certificate: read('issuing.crt') + read('p256.crt') + read('root.crt') },
      { issuers: read('root.crt') + read('p256.crt') },
      { certificate: read('issuing.crt') + read('p256.crt'), extraRoots: read('root.crt') },
    ]) {
      const { chain } = await (await load('issuing', more)).issue(newKey(), 'shop', 'checkout');
      expect(chain.map((der) => new X509Certificate(der).issuer)).to.deep.equal(['CN=issuing', 'CN=p256', 'CN=root']);
    }
  });

  it('takes an issuer whose key id is its own invention', async () => {
    expect(await refusal(load('odd-id', { issuers: read('root.crt') }))).to.equal('taken');
  });

  it('counts the later end where a root was renewed with its key, wherever the two stand', async () => {
    const issued = (order: readonly string[]) => load('p256', { issuers: order.map((name) => read(`${name}.crt`)).join('') });
    const laterMs = Date.parse(new X509Certificate(read('p256.crt')).validTo);
    for (const order of [
      ['earlier', 'later'],
      ['later', 'earlier'],
    ]) {
      const authority = await issued(order);
      expect(authority.notAfterMs, order.join()).to.equal(laterMs);
      expect(authority.roots(), order.join()).to.have.length(2);
    }
  });

  it('finds the root of an issuer that is there as cross-signed and as self-signed, wherever the two stand', async () => {
    for (const order of [
      ['crossed', 'root'],
      ['root', 'crossed'],
    ]) {
      const authority = await load('p256', { issuers: order.map((name) => read(`${name}.crt`)).join('') });
      expect(authority.rootsPem().trim(), order.join()).to.equal(read('root.crt').trim());
    }
    const led = await load('p256', { issuers: read('crossed.crt') + read('elder.crt') });
    const { chain } = await led.issue(newKey(), 'shop', 'checkout');
    expect(chain.map((der) => new X509Certificate(der).issuer)).to.deep.equal(['CN=p256', 'CN=root', 'CN=elder']);
  });

  it('takes a way that is valid now before one that ends later', async () => {
    const now = () => Date.now() + 31 * 24 * 3600_000;
    const pem = { certificate: read('p256.crt'), key: read('p256.key') };
    for (const issuers of [read('earlier.crt') + read('later.crt'), read('later.crt') + read('earlier.crt')]) {
      const { notAfterMs } = await Authority.load({ ...pem, issuers }, { ...settings, now });
      expect(notAfterMs).to.be.greaterThan(now());
    }
  });

  it('refuses more certificates than it can look at, and an endless chain', async () => {
    const many = Array.from({ length: 64 }, (_, i) => {
      certify('elder', null, CA, String(i + 1), 'one-of-many');
      return read('one-of-many.crt');
    });
    expect(await refusal(load('p256', { issuers: read('root.crt') + many.join('') }))).to.contain('more than 64 certificates');
    certify('elder', 'root', CA, '365', 'circle');
    expect(await refusal(load('p256', { issuers: read('crossed.crt') + read('circle.crt') }))).to.contain('more than 8 certificates');
  });

  it('refuses an issuer whose certificates are good for one end of a connection alone', async () => {
    expect(await refusal(load('server-only', { issuers: read('root.crt') }))).to.contain('do not verify: unsuitable certificate purpose');
  });

  it('refuses what would fail at every handshake, with the reason', async () => {
    expect(await refusal(load('issuing'))).to.contain('the certificate of its issuer, CN=p256, is missing');
    expect(await refusal(load('issuing', { issuers: read('root.crt') }))).to.contain('CN=p256, is missing');
    expect(await refusal(load('below', { issuers: read('tight.crt') + read('root.crt') }))).to.contain('do not verify: path length');
    expect(await refusal(load('constrained', { issuers: read('root.crt') }))).to.contain('do not verify: permitted subtree');
    expect(await refusal(load('weak-usage', { issuers: read('root.crt') }))).to.match(/do not verify|not an authority/);
    expect(await refusal(load('ed', { issuers: read('root.crt') }))).to.contain(
      'it must be ECDSA (P-256, P-384 or P-521) or RSA, not ed25519',
    );
    const other = Authority.load({ certificate: read('p256.crt'), key: read('issuing.key'), issuers: read('root.crt') }, settings);
    expect(await refusal(other)).to.contain('it is of another certificate');
  });
});
