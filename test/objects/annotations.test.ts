// Annotations of namespaces, pods and routes → what a sidecar reports of its calls, and what is told of values that
// cannot be used.
import { expect } from 'chai';
import fc from 'fast-check';
import { telemetryOf, workloadOfPod } from '#control-plane/translate/workload.ts';
import type { KubeObject } from '#kube/object.ts';
import { annotationProblems, readAnnotations } from '#objects/annotations.ts';

const object = (kind: string, name: string, annotations: Record<string, string>): KubeObject => ({
  kind,
  metadata: { name, ...(kind !== 'Namespace' && { namespace: 'shop' }), annotations },
});
const sampling = (value: string) => ({ 'weft.dev/trace-sampling': value });
const log = (value: string) => ({ 'weft.dev/access-log': value });

describe('objects: annotations of telemetry', () => {
  const told = (pod: Record<string, string>, namespace?: Record<string, string>) => {
    const telemetry = telemetryOf(object('Pod', 'a', pod), namespace && object('Namespace', 'shop', namespace));
    return telemetry && { sampling: telemetry.traceSampling, log: telemetry.accessLog };
  };

  it('are taken from the pod, then from its namespace, each for itself', () => {
    expect(told({ ...sampling('5%'), ...log('errors') })).to.deep.equal({ sampling: 0.05, log: 'errors' });
    expect(told(sampling('0'), { ...sampling('1'), ...log('all') })).to.deep.equal({ sampling: 0, log: 'all' });
    expect(told(log('off'), { ...sampling('1'), ...log('all') })).to.deep.equal({ sampling: 1, log: 'off' });
    expect(told({})).to.equal(undefined);
    expect(told({}, {})).to.equal(undefined);
  });

  it('have no effect where their value cannot be used', () => {
    expect(told(sampling('lots'), sampling('0.1'))).to.deep.equal({ sampling: 0.1, log: '' });
    expect(told(log('erors'), sampling('2'))).to.equal(undefined);
  });

  it('become part of the workload', () => {
    const pod = object('Pod', 'a', log('all'));
    expect(workloadOfPod(pod, undefined, 't')!.telemetry!.accessLog).to.equal('all');
    expect(workloadOfPod(object('Pod', 'a', {}), undefined, 't')!.telemetry).to.equal(undefined);
  });

  it('are listed once for all pods that make the same mistake', () => {
    const pods = Array.from({ length: 500 }, (_, i) => object('Pod', `payment-${i}`, sampling('5')));
    const fine = object('Pod', 'fine', sampling('5%'));
    expect(annotationProblems([object('Namespace', 'shop', log('erors')), ...pods, fine])).to.deep.equal([
      'Namespace shop: annotation weft.dev/access-log: "erors" is ignored: "erors" is neither off, errors, all nor a condition, did you mean "errors"?',
      'Pod shop/payment-0 and 499 more: annotation weft.dev/trace-sampling: "5" is ignored: it must be a share from 0 to 1 or from 0% to 100%, did you mean 5%?',
    ]);
  });

  it('are listed up to a bound', () => {
    const [steering] = readAnnotations(object('Pod', 'a', log(`\u009b2J\u202e=${'x'.repeat(500)}`))).mistakes;
    expect(steering)
      .to.match(/^annotation weft\.dev\/access-log: "\\u009b2J\\u202e=x+….*\\u009b2J.*…$/)
      .and.not.match(/\p{C}/u);
    expect(steering.length).to.be.at.most(400);
    const problems = annotationProblems(Array.from({ length: 1000 }, (_, i) => object('Pod', `p${i}`, sampling(`x${i}`))));
    expect(problems).to.have.length(21);
    expect(problems.at(-1)).to.equal('980 more annotations of pods, namespaces and routes are ignored');
  });

  it('never throw, whatever stands in the object', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), (value, other, annotations) => {
        for (const some of [{ 'weft.dev/trace-sampling': value, 'weft.dev/access-log': other }, annotations])
          for (const thing of [{ kind: 'Pod', metadata: { annotations: some } }, { metadata: some }, annotations])
            expect(readAnnotations(thing as KubeObject).mistakes).to.be.an('array');
      }),
    );
  });
});
