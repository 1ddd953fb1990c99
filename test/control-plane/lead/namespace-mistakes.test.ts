// Labels and annotations that mean nothing, and what was likely meant.
import { expect } from 'chai';
import { namespaceMistakes } from '#control-plane/lead/namespace-mistakes.ts';
import type { Namespace } from '#objects/namespace.ts';

describe('control-plane/lead: namespace-mistakes', () => {
  const messages = (namespace: Namespace) => namespaceMistakes(namespace).map(({ message }) => message);
  const inject = (value: string) => messages({ metadata: { name: 'shop', labels: { 'weft.dev/inject': value } } });

  it('says nothing of what is right or not ours', () => {
    expect([...inject('enabled'), ...inject('disabled')]).to.deep.equal([]);
    expect(messages({ metadata: { labels: { 'weft.dev/mtls': 'strict', 'istio-injection': 'yes' } } })).to.deep.equal([]);
    expect(messages({})).to.deep.equal([]);
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
    expect(messages({ metadata: { labels: { 'weft.dev/mtls': 'STRICT' } } })[0])
      .to.include('pods are permissive')
      .and.include('"strict"?');
  });

  it('reports annotations as well', () => {
    const annotations = { 'weft.dev/trace-sampling': '5', 'weft.dev/access-log': 'all', 'example.dev/other': '?' };
    expect(namespaceMistakes({ metadata: { name: 'shop', annotations } })).to.deep.equal([
      {
        reason: 'UnusableAnnotation',
        message: 'annotation weft.dev/trace-sampling: "5" is ignored: it must be a share from 0 to 1 or from 0% to 100%, did you mean 5%?',
      },
    ]);
  });
});
