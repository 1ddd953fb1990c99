// The validator of a peer's certificate, on good ones, bad ones and octets that are none.
import { expect } from 'chai';
import fc from 'fast-check';
import { LARGEST_CERTIFICATE, validateSvid } from '#core/contract/svid.ts';
import { CHECKOUT, type Crafted, craft, craftAuthority, type TestAuthority } from '../../support/craft-certificate.ts';
import { SVID_TABLE } from '../../support/svid-table.ts';

const at = { trustDomain: 'cluster.local', nowMs: Date.now() };

describe('core/contract: svid', () => {
  let authority: TestAuthority;
  let good: Crafted;
  before(async () => {
    authority = await craftAuthority();
    good = await craft(authority);
  });

  for (const { name, wish, expect: expected } of SVID_TABLE) {
    it(`judges ${name}: ${expected}`, async () => {
      const verdict = validateSvid((await craft(authority, wish)).der, at);
      expect(verdict.ok ? 'ok' : verdict.reason).to.equal(expected);
    });
  }

  it('returns the canonical id and the validity', async () => {
    const notBefore = new Date('2026-01-02T03:04:05Z');
    const notAfter = new Date('2051-06-07T08:09:10Z'); // UTCTime and GeneralizedTime
    const { der } = await craft(authority, { uris: ['SPIFFE://Cluster.Local/ns/shop/sa/Checkout'], notBefore, notAfter });
    expect(validateSvid(der, at)).to.deep.equal({
      ok: true,
      identity: 'spiffe://cluster.local/ns/shop/sa/Checkout',
      notBeforeMs: notBefore.getTime(),
      notAfterMs: notAfter.getTime(),
    });
  });

  it('takes the expected identity only, path case and all', () => {
    expect(validateSvid(good.der, { ...at, expectedIdentity: CHECKOUT })).to.include({ ok: true });
    for (const other of [CHECKOUT.replace('checkout', 'Checkout'), `${CHECKOUT}2`, CHECKOUT.slice(0, -1), '']) {
      expect(validateSvid(good.der, { ...at, expectedIdentity: other })).to.deep.equal({ ok: false, reason: 'identity mismatch' });
    }
  });

  it('forgives a clock that is late by less than two minutes', async () => {
    const { der } = await craft(authority, { notBefore: new Date(at.nowMs), notAfter: new Date(at.nowMs + 60_000) });
    expect(validateSvid(der, { ...at, nowMs: at.nowMs - 90_000 })).to.include({ ok: true });
    expect(validateSvid(der, { ...at, nowMs: at.nowMs - 600_000 })).to.deep.equal({ ok: false, reason: 'not yet valid' });
    expect(validateSvid(der, { ...at, nowMs: at.nowMs + 62_000 })).to.deep.equal({ ok: false, reason: 'expired' });
  });

  it('refuses no certificate, an empty one, a huge one', () => {
    for (const der of [undefined, Buffer.alloc(0), Buffer.alloc(LARGEST_CERTIFICATE + 1)]) {
      expect(validateSvid(der, at)).to.deep.equal({ ok: false, reason: 'malformed certificate' });
    }
  });

  it('refuses what is nested without end, quickly', () => {
    const deep = Buffer.alloc(LARGEST_CERTIFICATE, 0x30);
    expect(validateSvid(deep, at)).to.deep.equal({ ok: false, reason: 'malformed certificate' });
  });

  it('refuses octets behind the certificate and any cut', () => {
    expect(validateSvid(Buffer.concat([good.der, Buffer.from([0])]), at).ok).to.equal(false);
    for (let length = 0; length < good.der.length; length++) {
      expect(validateSvid(good.der.subarray(0, length), at)).to.deep.equal({ ok: false, reason: 'malformed certificate' });
    }
  });

  it('refuses two extensions of one kind', async () => {
    // Basic constraints turned into a second key usage: OID 2.5.29.19 → 2.5.29.15.
    const der = Buffer.from(good.der);
    der[der.indexOf(Buffer.from('0603551d13', 'hex')) + 4] = 0x0f;
    expect(validateSvid(der, at)).to.deep.equal({ ok: false, reason: 'malformed certificate' });
  });

  it('never throws and never makes another identity of a damaged certificate', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
        const der = Buffer.from(good.der);
        for (const [index, octet] of changes) der[index] = octet;
        const verdict = validateSvid(der, { ...at, expectedIdentity: CHECKOUT });
        if (verdict.ok) expect(verdict.identity).to.equal(CHECKOUT);
      }),
      { numRuns: 3000 },
    );
  });

  it('never throws on any octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (octets) => {
        expect(validateSvid(Buffer.from(octets), at).ok).to.equal(false);
      }),
      { numRuns: 2000 },
    );
  });
});
