// SPIFFE ids: what is one, and what must never pass for another.
import { expect } from 'chai';
import fc from 'fast-check';
import {
  controlPlaneSpiffeId,
  formatSpiffeId,
  isTrustDomain,
  parseSpiffeId,
  parseWorkloadIdentity,
  workloadSpiffeId,
} from '#core/contract/identity.ts';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const subdomain = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));

describe('core/contract: identity', () => {
  it('a ServiceAccount goes into an id and comes out again', () => {
    fc.assert(
      fc.property(subdomain, label, subdomain, (trustDomain, namespace, serviceAccount) => {
        const id = workloadSpiffeId(trustDomain, namespace, serviceAccount);
        expect(parseWorkloadIdentity(id)).to.deep.equal({ namespace, serviceAccount });
        const parsed = parseSpiffeId(id);
        expect(parsed.ok && formatSpiffeId(parsed.id)).to.equal(id);
      }),
    );
  });

  it('no name reaches into another part of the path', () => {
    for (const bad of ['', 'a/b', '..', '.', 'A', 'a_b', 'a%2fb', '-a', 'a-', 'a\n', 'a'.repeat(254)]) {
      expect(() => workloadSpiffeId('cluster.local', bad, 'x'), bad).to.throw(RangeError);
      expect(() => workloadSpiffeId('cluster.local', 'x', bad), bad).to.throw(RangeError);
    }
    expect(() => workloadSpiffeId('cluster.local', 'a.b', 'x'), 'a namespace is one label').to.throw(RangeError);
  });

  it('other ids are not of a ServiceAccount', () => {
    for (const path of ['', '/ns/a', '/ns/a/sa', '/ns/a/sa/b/c', '/sa/a/ns/b', '/ns/A/sa/b', '/NS/a/sa/b', '/ns/a/sa/b_c']) {
      expect(parseWorkloadIdentity(`spiffe://cluster.local${path}`), path).to.equal(null);
    }
  });

  it('letters that only fold to ASCII are no trust domain', () => {
    expect(parseSpiffeId('spiffe://\u212aluster/x')).to.include({ ok: false }); // KELVIN SIGN folds to k
    expect(parseSpiffeId('\u017fpiffe://cluster/x')).to.include({ ok: false });
  });

  it('knows a trust domain', () => {
    for (const good of ['a', 'cluster.local', 'a_b-c.d', 'x'.repeat(255)]) expect(isTrustDomain(good), good).to.equal(true);
    for (const bad of ['', 'A', 'a b', 'a/b', 'a:1', 'a@b', 'x'.repeat(256), 'ä']) expect(isTrustDomain(bad), bad).to.equal(false);
  });

  it('the control plane has a fixed place', () => {
    expect(controlPlaneSpiffeId('example.org')).to.equal('spiffe://example.org/ns/weft-system/sa/weft-control-plane');
  });

  it('never throws on any text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `spiffe://${s}`),
        ),
        (text) => void parseSpiffeId(text),
      ),
    );
  });
});
