// Labels that mean nothing, and what was likely meant.
import { expect } from 'chai';
import { labelMistakes } from '#control-plane/kube/namespace-labels.ts';

describe('control-plane/kube: namespace-labels', () => {
  const inject = (value: string) => labelMistakes({ metadata: { name: 'shop', labels: { 'weft.dev/inject': value } } });

  it('says nothing of what is right or not ours', () => {
    expect([...inject('enabled'), ...inject('disabled')]).to.deep.equal([]);
    expect(labelMistakes({ metadata: { labels: { 'weft.dev/mtls': 'strict', 'istio-injection': 'yes' } } })).to.deep.equal([]);
    expect(labelMistakes({})).to.deep.equal([]);
  });

  for (const [value, meant] of [
    ['enable', 'enabled'],
    ['Enabled', 'enabled'],
    ['true', 'enabled'],
    ['off', 'disabled'],
    ['1', 'enabled'],
    ['none', 'disabled'],
    ['disbaled', 'disabled'],
  ]) {
    it(`knows that ${value} was to be ${meant}`, () => {
      expect(inject(value!)).to.have.length(1);
      expect(inject(value!)[0]).to.include(`label weft.dev/inject has the value "${value}"`).and.include(`did you mean "${meant}"?`);
    });
  }

  it('names what there is when nothing is near', () => {
    expect(inject('sidecar')[0]).to.include('it can be "enabled" or "disabled"');
    expect(labelMistakes({ metadata: { labels: { 'weft.dev/mtls': 'STRICT' } } })[0])
      .to.include('pods are permissive')
      .and.include('"strict"?');
  });
});
