// What the sidecar asks for in namespaces with limits: admitted wherever anything can be, and stable.
import { expect } from 'chai';
import fc from 'fast-check';
import { parseQuantity } from '#core/contract/quantity.ts';
import { LimitCache, projectLimitRange, projectQuota } from '#injector/limit-cache.ts';
import { countedBy, fitResources, limitItemsOf, NO_LIMITS } from '#injector/limits.ts';

const WANTED = { cpuRequest: '50m', cpuLimit: '', memoryRequest: '80Mi', memoryLimit: '' };
const range = (...limits: object[]) => ({ ranges: limitItemsOf({ spec: { limits } }), counted: [] });

describe('fitResources', () => {
  it('changes nothing where nothing limits, or all is within', () => {
    for (const limits of [
      NO_LIMITS,
      range({ type: 'Pod', max: { memory: '4Gi' } }),
      range({ type: 'PersistentVolumeClaim', max: { storage: '1' } }),
    ])
      expect(fitResources(WANTED, limits, [])).to.deep.equal({ resources: WANTED, problems: [] });
  });

  it('is admitted by every LimitRange of containers that has room for something, and given its own result changes nothing', () => {
    const quantity = fc.integer({ min: 1, max: 4000 }).map((mebi) => `${mebi}Mi`);
    const ranges = fc
      .record(
        { min: quantity, max: quantity, default: quantity, defaultRequest: quantity, ratio: fc.integer({ min: 10, max: 50 }) },
        { requiredKeys: [] },
      )
      .map(({ min, max, default: byDefault, defaultRequest, ratio }) => {
        const [low, high] = [parseQuantity(min ?? '0')!, max === undefined ? Infinity : parseQuantity(max)!];
        const within = (text: string | undefined) =>
          text === undefined ? undefined : `${Math.min(Math.max(parseQuantity(text)!, low), Math.max(low, high))}`;
        return {
          type: 'Container',
          ...(min && { min: { memory: min } }),
          ...(max && { max: { memory: `${Math.max(low, high)}` } }),
          ...(byDefault && { default: { memory: within(byDefault) } }),
          ...(defaultRequest && { defaultRequest: { memory: within(defaultRequest) } }),
          ...(ratio && { maxLimitRequestRatio: { memory: `${ratio / 10}` } }),
        };
      });
    const wanted = fc.record({ memoryRequest: fc.option(quantity, { nil: '' }), memoryLimit: fc.option(quantity, { nil: '' }) });
    fc.assert(
      fc.property(ranges, wanted, (item, own) => {
        fc.pre(own.memoryRequest === '' || own.memoryLimit === '' || parseQuantity(own.memoryRequest)! <= parseQuantity(own.memoryLimit)!);
        const limits = range(item);
        const { resources, problems } = fitResources({ ...WANTED, ...own }, limits, []);
        expect(problems.filter((text) => text.includes('does not fit'))).to.deep.equal([]);
        expect(fitResources(resources, limits, []).resources).to.deep.equal(resources);
        const [request, limit] = [resources.memoryRequest, resources.memoryLimit].map((text) =>
          text === '' ? undefined : parseQuantity(text)!,
        );
        // As LimitRanger judges (min, max and maxLimitRequestRatio of a container).
        if (item.min) expect(request).to.be.at.least(parseQuantity(item.min.memory)!);
        if (item.max) expect(limit).to.be.at.most(parseQuantity(item.max.memory)!);
        if (limit !== undefined && request !== undefined) expect(request).to.be.at.most(limit);
        if (item.maxLimitRequestRatio) expect(limit! / request!).to.be.at.most(Number(item.maxLimitRequestRatio.memory));
      }),
    );
  });

  it('is divided as LimitRanger does it, which refuses a ratio that is too high by an ulp', () => {
    const limits = range({
      type: 'Container',
      min: { memory: '1285Mi' },
      default: { memory: '3772776448' },
      maxLimitRequestRatio: { memory: '2.8' },
    });
    const { resources, problems } = fitResources({ ...WANTED, memoryRequest: '' }, limits, []);
    expect(problems).to.deep.equal([]);
    expect(parseQuantity(resources.memoryLimit)! / parseQuantity(resources.memoryRequest)!).to.be.at.most(2.8);
  });

  it('keeps within what a pod may have, or says that it cannot', () => {
    const app = { name: 'app', resources: { requests: { memory: '200Mi' }, limits: { memory: '250Mi' } } };
    const pod = { type: 'Pod', max: { memory: '256Mi' } };
    expect(fitResources(WANTED, range(pod), [app])).to.deep.equal({ resources: { ...WANTED, memoryRequest: '56Mi' }, problems: [] });
    const { problems } = fitResources(WANTED, range(pod, { type: 'Container', default: { memory: '100Mi' }, min: { memory: '50Mi' } }), [
      app,
    ]);
    expect(problems).to.have.length(1);
    expect(problems[0]).to.contain('memory').and.contain('maximum of a pod');
  });

  it('has what a quota counts', () => {
    const counted = countedBy({ spec: { hard: { 'limits.memory': '4Gi', 'requests.cpu': '2' } } });
    const { resources } = fitResources({ cpuRequest: '', cpuLimit: '', memoryRequest: '', memoryLimit: '' }, { ranges: [], counted }, []);
    expect(resources).to.deep.equal({ cpuRequest: '10m', cpuLimit: '', memoryRequest: '64Mi', memoryLimit: '128Mi' });
  });
});

describe('LimitCache', () => {
  it('knows the limits of each namespace as they come and go', () => {
    const cache = new LimitCache();
    const place = { metadata: { namespace: 'shop', name: 'one' } };
    cache.rangeHandler.synced([projectLimitRange({ ...place, spec: { limits: [{ type: 'Container', min: { cpu: '1' } }] } })]);
    cache.quotaHandler.applied(projectQuota({ ...place, spec: { hard: { 'limits.cpu': '1' } } }));
    expect(cache.of('shop').ranges[0]!.min).to.deep.equal({ cpu: 1 });
    expect(cache.of('shop').counted).to.deep.equal(['limits.cpu']);
    expect(cache.of('other')).to.equal(NO_LIMITS);
    cache.rangeHandler.removed(place);
    cache.quotaHandler.synced([]);
    expect(cache.of('shop')).to.equal(NO_LIMITS);
  });
});
