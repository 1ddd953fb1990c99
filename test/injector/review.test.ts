// AdmissionReviews, good and malformed, and what becomes of a pod when the injector cannot decide.
import { expect } from 'chai';
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import { silentLogger } from '#core/program/log.ts';
import type { NamespaceFacts } from '#injector/decide.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import { InjectorMetrics } from '#injector/metrics.ts';
import { answerReview, type InjectionEvent, type ReviewDeps } from '#injector/review.ts';
import { SETTINGS } from './golden-case.ts';

const SHOP: NamespaceFacts = { name: 'shop', labels: { 'weft.dev/inject': 'enabled' }, annotations: {} };

function sources(over: Partial<ReviewDeps> = {}) {
  const events: InjectionEvent[] = [];
  const lookups: string[] = [];
  const metrics = new InjectorMetrics();
  const made: ReviewDeps = {
    namespaceOf: async (name, fresh) => {
      lookups.push(`${name}${fresh ? ' fresh' : ''}`);
      return SHOP;
    },
    settings: () => SETTINGS,
    limitsOf: () => NO_LIMITS,
    controlPlaneAddress: async () => '10.96.0.7:15012',
    hookToken: () => 'TOKEN',
    record: (event) => void events.push(event),
    metrics,
    log: silentLogger,
    ...over,
  };
  return { sources: made, events, lookups, metrics };
}

function review(object: unknown, request: object = {}, outer: object = {}): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u-1',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      operation: 'CREATE',
      namespace: 'shop',
      dryRun: false,
      object,
      ...request,
    },
    ...outer,
  });
}

const POD = { metadata: { generateName: 'web-' }, spec: { containers: [{ name: 'app', image: 'app:1' }] } };

async function ask(body: string, from = sources()) {
  const { status, body: text } = await answerReview(body, from.sources);
  return { status, review: JSON.parse(text), ...from };
}

describe('answerReview', () => {
  it('answers with a patch, and with the request’s uid', async () => {
    const { status, review: answer, events, metrics } = await ask(review(POD));
    expect(status).to.equal(200);
    expect(answer).to.include({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' });
    expect(answer.response).to.include({ uid: 'u-1', allowed: true, patchType: 'JSONPatch' });
    const pod = structuredClone(POD) as { spec: { initContainers?: { name: string }[] } };
    applyPatch(pod, JSON.parse(Buffer.from(answer.response.patch, 'base64').toString()));
    expect(pod.spec.initContainers?.map(({ name }) => name)).to.deep.equal(['weft-proxy']);
    expect(events).to.deep.equal([]);
    expect(metrics.reviews.value({ result: 'injected', reason: '' })).to.equal(1);
    // Given its own result, it adds nothing more.
    expect((await ask(review(pod))).review.response).to.deep.equal({ uid: 'u-1', allowed: true });
  });

  it('completes a pod that another webhook has changed, once', async () => {
    const apply = (pod: object, answer: { response: { patch: string } }): typeof POD & { spec: { initContainers: object[] } } => {
      const next = structuredClone(pod);
      expect(applyPatch(next, JSON.parse(Buffer.from(answer.response.patch, 'base64').toString())).filter(Boolean)).to.deep.equal([]);
      return next as never;
    };
    const pod = apply(POD, (await ask(review(POD))).review);
    pod.spec.initContainers.unshift({ name: 'vault-agent-init' });
    pod.spec.containers.push({ name: 'daprd', image: 'daprd:1', readinessProbe: { httpGet: { port: 3501 } } } as never);
    const { review: second, metrics, events } = await ask(review(pod));
    const repaired = apply(pod, second);
    expect(repaired.spec.initContainers.map((each) => (each as { name: string }).name)).to.deep.equal(['weft-proxy', 'vault-agent-init']);
    expect(repaired.spec.containers[1]).to.have.nested.property('readinessProbe.httpGet.path', '/probe/daprd/readiness');
    expect(metrics.reviews.value({ result: 'injected', reason: 'Reinvoked' })).to.equal(1);
    expect(events).to.deep.equal([]);
    expect((await ask(review(repaired))).review.response).to.deep.equal({ uid: 'u-1', allowed: true });
  });

  it('gives the address of the control plane to a pod that cannot resolve its name', async () => {
    const pod = { ...POD, spec: { ...POD.spec, dnsPolicy: 'None' } };
    const { review: answer } = await ask(review(pod));
    const patch = Buffer.from(answer.response.patch, 'base64').toString();
    expect(patch).to.contain('10.96.0.7:15012').and.not.contain('weft-control-plane');
    const unknown = sources({ controlPlaneAddress: () => Promise.reject(new Error('ENOTFOUND')) });
    expect((await ask(review(pod), unknown)).review.response)
      .to.include({ allowed: false })
      .and.nested.property('status.code', 503);
    expect((await ask(review(POD), unknown)).review.response).to.include({ allowed: true });
  });

  it('keeps rewritten probes in an update that sends them again, and never refuses one', async () => {
    const own = { ...POD, spec: { containers: [{ name: 'app', image: 'app:1', readinessProbe: { httpGet: { port: 80, path: '/a' } } }] } };
    const before = structuredClone(own);
    applyPatch(before, JSON.parse(Buffer.from((await ask(review(own))).review.response.patch, 'base64').toString()));
    const after = structuredClone(before);
    after.spec.containers[0]!.readinessProbe = { httpGet: { port: 80, path: '/a' } };
    const update = { operation: 'UPDATE', oldObject: before };
    const { review: answer } = await ask(review(after, update));
    applyPatch(after, JSON.parse(Buffer.from(answer.response.patch, 'base64').toString()));
    expect(after).to.deep.equal(before);
    for (const other of [before, {}, null, 7])
      expect((await ask(review(other, update))).review.response).to.deep.equal({ uid: 'u-1', allowed: true });
  });

  it('refuses what is no review with 400, and echoes a uid that is there', async () => {
    const cases: [body: string, uid: string][] = [
      ['', ''],
      ['aaaaaa', ''],
      ['null', ''],
      ['[]', ''],
      ['{}', ''],
      ['"AdmissionReview"', ''],
      [review(POD, { uid: undefined }), ''],
      [review(POD, { uid: 7 }), ''],
      [review(POD, { uid: '' }), ''],
      [review(POD, { uid: 'x'.repeat(5000) }), ''],
      [review(POD, {}, { request: undefined }), ''],
      [review(POD, {}, { request: null }), ''],
      [review(POD, {}, { request: [] }), ''],
      [review(null), 'u-1'],
      [review([]), 'u-1'],
      [review('pod'), 'u-1'],
      [review({}), 'u-1'],
      [review({ spec: {} }), 'u-1'],
      [review({ spec: { containers: [null] } }), 'u-1'],
      [review({ spec: { containers: [{}] } }), 'u-1'],
      [review({ spec: { containers: [], volumes: {} } }), 'u-1'],
      [review({ metadata: { annotations: { a: 1 } }, spec: { containers: [] } }), 'u-1'],
      [review({ metadata: { labels: [] }, spec: { containers: [] } }), 'u-1'],
      [review(POD, { namespace: 7 }), 'u-1'],
      [review(POD, { namespace: '' }), 'u-1'],
      [review(POD, { kind: 'Pod' }), 'u-1'],
      [review(POD, {}, { apiVersion: 'admission.k8s.io/v1beta1' }), 'u-1'],
      [review(POD, {}, { kind: 'ConversionReview' }), 'u-1'],
      [review(POD).slice(0, -9), ''],
    ];
    for (const [body, uid] of cases) {
      const { status, review: answer, events } = await ask(body);
      expect(status, body).to.equal(400);
      expect(answer.response.uid, body).to.equal(uid);
      expect(answer.response.allowed, body).to.equal(false);
      expect(answer.response.status.message, body).to.be.a('string').and.not.equal('');
      expect(events).to.deep.equal([]);
    }
  });

  it('never rejects, whatever the review holds', async () => {
    const odd = fc.oneof(fc.jsonValue(), fc.constantFrom('Pod', 'CREATE', 'shop'));
    const pods = fc.record(
      {
        metadata: odd,
        spec: fc.record(
          {
            containers: fc.array(
              fc.record({ name: fc.string(), livenessProbe: odd, ports: odd, securityContext: odd }, { requiredKeys: [] }),
              { maxLength: 2 },
            ),
            initContainers: odd,
            volumes: odd,
            securityContext: odd,
            os: odd,
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(pods, odd), async (pod) => {
        const { status, review: answer } = await ask(review(pod));
        expect([200, 400]).to.include(status);
        expect(answer.response.uid).to.equal('u-1');
      }),
    );
  });

  it('leaves alone what is not a new pod', async () => {
    for (const request of [
      { kind: { kind: 'Service' } },
      { operation: 'UPDATE' },
      { subResource: 'ephemeralcontainers' },
      { kind: { group: 'x', kind: 'Pod' } },
    ]) {
      const { status, review: answer } = await ask(review(null, request));
      expect(status).to.equal(200);
      expect(answer.response).to.deep.equal({ uid: 'u-1', allowed: true });
    }
  });

  it('says why a pod gets no sidecar: a warning, and an Event on its controller or its namespace', async () => {
    const hostNetwork = { ...POD, spec: { ...POD.spec, hostNetwork: true } };
    const { review: answer, events } = await ask(review(hostNetwork));
    expect(answer.response).to.include({ allowed: true });
    expect(answer.response.warnings[0]).to.match(/^weft: no sidecar: hostNetwork: true/);
    expect(events).to.have.length(1);
    expect(events[0]).to.deep.include({ type: 'Warning', reason: 'InjectionSkipped' });
    expect(events[0].regarding).to.deep.equal({ apiVersion: 'v1', kind: 'Namespace', namespace: 'shop', name: 'shop' });
    expect(events[0].message).to.match(/^pod web-\*: hostNetwork/);
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'r', controller: true };
    const owned = await ask(review({ ...hostNetwork, metadata: { ownerReferences: [{ kind: 'Other', name: 'o' }, owner] } }));
    expect(owned.events[0].regarding).to.deep.equal({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      namespace: 'shop',
      name: 'web',
      uid: 'r',
    });
  });

  it('denies what would break, and warns of values that were not taken', async () => {
    const denied = await ask(review({ ...POD, spec: { ...POD.spec, securityContext: { runAsUser: 2102 } } }));
    expect(denied.status).to.equal(200);
    expect(denied.review.response).to.include({ allowed: false });
    expect(denied.review.response.status).to.include({ code: 400 });
    expect(denied.review.response.status.message).to.match(/^weft: spec.securityContext.runAsUser: 2102/);
    expect(denied.events[0]).to.include({ reason: 'InjectionRefused' });
    const annotations = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`weft.dev/${'x'.repeat(200)}${i}`, '']));
    const warned = await ask(review({ ...POD, metadata: { annotations } }));
    expect(warned.review.response.warnings).to.have.length(15);
    for (const warning of warned.review.response.warnings) expect(warning.length).to.be.at.most(256);
    expect(warned.review.response.patch).to.be.a('string');
    expect(warned.events).to.have.length(1);
  });

  it('has no side effect in a dry run', async () => {
    const plain = await ask(review(POD, { dryRun: true }));
    expect(plain.review.response.patch).to.be.a('string');
    for (const spec of [{ hostNetwork: true }, { securityContext: { runAsUser: 2102 } }]) {
      const { events } = await ask(review({ ...POD, spec: { ...POD.spec, ...spec } }, { dryRun: true }));
      expect(events).to.deep.equal([]);
    }
    const { events } = await ask(review({ ...POD, metadata: { annotations: { 'weft.dev/log-level': 'loud' } } }, { dryRun: true }));
    expect(events).to.deep.equal([]);
  });

  it('does not ask about namespaces that are never injected', async () => {
    const { review: answer, lookups } = await ask(review(POD, { namespace: 'kube-system' }));
    expect(answer.response).to.deep.equal({ uid: 'u-1', allowed: true });
    expect(lookups).to.deep.equal([]);
  });

  it('asks again when the namespace was labelled a moment ago', async () => {
    const from = sources({ namespaceOf: async (_, fresh) => (fresh ? SHOP : { ...SHOP, labels: {} }) });
    expect((await ask(review(POD), from)).review.response.patch).to.be.a('string');
  });

  it('asks again when the label was put right a moment ago', async () => {
    for (const before of ['disabled', 'true']) {
      const lookups: boolean[] = [];
      const from = sources({
        namespaceOf: async (_, fresh = false) => {
          lookups.push(fresh);
          return fresh ? SHOP : { ...SHOP, labels: { 'weft.dev/inject': before } };
        },
      });
      expect((await ask(review(POD), from)).review.response, before).to.include({ allowed: true, patchType: 'JSONPatch' });
      expect(lookups).to.deep.equal([false, true]);
    }
    // What the pod itself says needs no second look.
    const own = sources();
    await ask(review({ ...POD, metadata: { labels: { 'weft.dev/inject': 'disabled' } } }), own);
    expect(own.lookups).to.deep.equal(['shop']);
  });

  it('leaves a pod to the failurePolicy when there is a defect, and goes on', async () => {
    const from = sources({
      settings: () => {
        throw new TypeError('of our own making');
      },
    });
    const { status, review: answer, metrics } = await ask(review(POD), from);
    expect(status).to.equal(500);
    expect(answer.response).to.deep.include({ uid: 'u-1', allowed: false });
    expect(JSON.stringify(answer)).to.not.include('our own making');
    expect(metrics.reviews.value({ result: 'failed', reason: 'Defect' })).to.equal(1);
  });

  it('refuses for now, and lets nothing slip in without its sidecar, while it cannot know', async () => {
    const blind = sources({ namespaceOf: () => Promise.reject(new Error('API server away')) });
    const waiting = sources({ settings: () => 'no roots yet' });
    for (const [from, message] of [
      [blind, /try again: .*API server away/],
      [waiting, /try again: no roots yet/],
    ] as const) {
      const { status, review: answer } = await ask(review(POD), from);
      expect(status).to.equal(200);
      expect(answer.response).to.include({ uid: 'u-1', allowed: false });
      expect(answer.response.status).to.include({ code: 503, reason: 'ServiceUnavailable' });
      expect(answer.response.status.message).to.match(message);
    }
    // Roots are not needed to leave a pod alone.
    const out = { ...POD, metadata: { labels: { 'weft.dev/inject': 'disabled' } } };
    expect((await ask(review(out), waiting)).review.response).to.deep.equal({ uid: 'u-1', allowed: true });
  });
});
