// The proof of possession: what the asker makes the control plane takes, and nothing else; its octets are those of
// certificates.proto.
import { createVerify, generateKeyPairSync, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { isProofOfKey, LARGEST_PROOF, LONGEST_NONCE, NONCE_OCTETS, proveKey, SHORTEST_NONCE } from '#core/contract/proof.ts';

const pair = () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey, der: publicKey.export({ type: 'spki', format: 'der' }) };
};
const own = pair();
const other = pair();

describe('the proof of possession', () => {
  it('holds for its key and nonce, of whatever length', () => {
    const nonces = fc.uint8Array({ minLength: SHORTEST_NONCE, maxLength: LONGEST_NONCE });
    fc.assert(
      fc.property(nonces, (nonce) => {
        const proof = proveKey(own.privateKey, own.der, nonce);
        expect(proof.length).to.be.at.most(72).and.below(LARGEST_PROOF);
        expect(isProofOfKey(proof, own.publicKey, own.der, nonce)).to.equal(true);
      }),
    );
  });

  it('holds for no other key, nonce or proof', () => {
    const [nonce, another] = [randomBytes(NONCE_OCTETS), randomBytes(NONCE_OCTETS)];
    const proof = proveKey(own.privateKey, own.der, nonce);
    expect(isProofOfKey(proof, other.publicKey, other.der, nonce)).to.equal(false);
    expect(isProofOfKey(proof, own.publicKey, own.der, another)).to.equal(false);
    expect(isProofOfKey(Buffer.alloc(0), own.publicKey, own.der, nonce)).to.equal(false);
    expect(isProofOfKey(proof.subarray(1), own.publicKey, own.der, nonce)).to.equal(false);
  });

  it('signs what certificates.proto says', () => {
    const nonce = randomBytes(NONCE_OCTETS);
    const verifier = createVerify('sha256').update('weft.v1.Certificates/Issue\n').update(nonce).update(own.der);
    expect(verifier.verify(own.publicKey, proveKey(own.privateKey, own.der, nonce))).to.equal(true);
  });
});
