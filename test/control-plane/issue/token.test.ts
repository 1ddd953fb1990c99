// The tokens of `weft run`.
import { expect } from 'chai';
import fc from 'fast-check';
import { TokenIssuer } from '#control-plane/issue/token.ts';

const options = { namespace: 'shop', serviceAccount: 'checkout', pod: 'checkout-1', uid: 'u1', lifetimeMs: 3600_000 };

describe('control-plane/issue/token', () => {
  it('has the claims of a projected token and comes back as the pod that it was signed for', async () => {
    const tokens = new TokenIssuer({ now: () => 1_800_000_000_000 });
    const token = tokens.sign(options);
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
    expect(claims).to.deep.include({ aud: ['weft'], exp: 1_800_003_600, iat: 1_800_000_000, sub: 'system:serviceaccount:shop:checkout' });
    expect(claims['kubernetes.io']).to.deep.equal({
      namespace: 'shop',
      pod: { name: 'checkout-1', uid: 'u1' },
      serviceaccount: { name: 'checkout' },
    });
    expect(await tokens.verify(token)).to.deep.equal({ namespace: 'shop', serviceAccount: 'checkout', pod: 'checkout-1', uid: 'u1' });
    expect(await new TokenIssuer({ now: () => 1_800_000_000_000 }).verify(token)).to.deep.equal({ error: 'signed by another key' });
  });

  it('holds from its issue to its end', async () => {
    let nowMs = 1_800_000_000_500;
    const tokens = new TokenIssuer({ now: () => nowMs });
    const token = tokens.sign({ ...options, lifetimeMs: 10_000 });
    expect(await tokens.verify(token)).to.not.have.property('error');
    nowMs += 9_000;
    expect(await tokens.verify(token)).to.not.have.property('error');
    nowMs += 1_000;
    expect(await tokens.verify(token)).to.deep.equal({ error: 'expired' });
    nowMs -= 11_000;
    expect(await tokens.verify(token)).to.deep.equal({ error: 'not yet valid' });
  });

  it('takes no token with another letter in it, and never throws', async () => {
    const tokens = new TokenIssuer({ now: Date.now });
    const token = tokens.sign(options);
    const decoded = (text: string): string =>
      text
        .split('.')
        .map((part) => Buffer.from(part, 'base64url').toString('hex'))
        .join('.');
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...'AZaz09-_.=+ '), async (at, letter) => {
        const changed = token.slice(0, at) + letter + token.slice(at + 1);
        // Base64's last letter has unused bits: the same octets are the same token.
        fc.pre(decoded(changed) !== decoded(token));
        expect(await tokens.verify(changed)).to.have.property('error');
      }),
    );
    await fc.assert(fc.asyncProperty(fc.string(), async (text) => void expect(await tokens.verify(text)).to.have.property('error')));
  });
});
