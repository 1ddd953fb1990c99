// The patch: applied to the first value it gives the second, whatever the two are; small; and cheap for large pods.
import { expect } from 'chai';
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import { inject } from '#injector/inject.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import { patchOf } from '#injector/patch.ts';
import type { InjectablePod } from '#injector/pod.ts';
import { SETTINGS } from './golden-case.ts';

const NAMESPACE = { name: 'shop', labels: {}, annotations: {} };

function apply(before: unknown, patch: readonly unknown[]): unknown {
  const value = structuredClone(before);
  const failed = applyPatch(value, structuredClone(patch) as Parameters<typeof applyPatch>[1]).filter(Boolean);
  expect(failed).to.deep.equal([]);
  return value;
}

const key = fc.oneof(fc.constantFrom('name', 'a/b', '~', '~1', '', 'x'), fc.string({ maxLength: 3 })).filter((k) => k !== '__proto__');
const { json } = fc.letrec((tie) => ({
  json: fc.oneof({ maxDepth: 4 }, fc.constantFrom(null, true, 0, 1, '', 'a'), tie('list'), tie('object')),
  list: fc.array(tie('json'), { maxLength: 4 }),
  object: fc.dictionary(key, tie('json'), { maxKeys: 4 }),
}));
const object = fc.dictionary(key, json, { maxKeys: 4 });

const FACTS = { hookToken: 'TOKEN', limits: NO_LIMITS };

describe('patchOf', () => {
  it('leads from any object to any other', () => {
    fc.assert(
      fc.property(object, object, (before, after) => {
        expect(apply(before, patchOf(before as InjectablePod, after as InjectablePod))).to.deep.equal({ ...after });
      }),
    );
  });

  it('leads from any pod to what inject() makes of it', () => {
    const text = fc.constantFrom('a', 'b/c', '~d', 'ü');
    const probe = fc.oneof(
      fc.record({ httpGet: fc.record({ port: fc.constantFrom(80, 'http') }), periodSeconds: fc.nat(9) }),
      fc.record({ grpc: fc.record({ port: fc.constant(9) }) }),
      fc.record({ exec: fc.constant({ command: ['x'] }) }),
    );
    const container = fc.record(
      { name: text, image: text, livenessProbe: probe, readinessProbe: probe, ports: fc.constant([{ name: 'http', containerPort: 8080 }]) },
      { requiredKeys: ['name'] },
    );
    const pod = fc.record({
      metadata: fc.record({ annotations: fc.dictionary(text, text) }, { requiredKeys: [] }),
      spec: fc.record(
        {
          containers: fc.array(container, { maxLength: 4 }),
          initContainers: fc.array(container, { maxLength: 3 }),
          volumes: fc.array(fc.record({ name: text }), { maxLength: 3 }),
        },
        { requiredKeys: ['containers'] },
      ),
    });
    fc.assert(
      fc.property(pod, (before) => {
        const frozen = JSON.stringify(before);
        const { pod: after } = inject(before as InjectablePod, NAMESPACE, SETTINGS, FACTS);
        expect(JSON.stringify(before)).to.equal(frozen);
        expect(apply(before, patchOf(before as InjectablePod, after))).to.deep.equal(JSON.parse(JSON.stringify(after)));
      }),
    );
  });

  it('inserts before init containers, adds behind volumes, and says nothing of the rest', () => {
    const list = (prefix: string) => Array.from({ length: 30 }, (_, i) => ({ name: `${prefix}${i}` }));
    const pod: InjectablePod = {
      metadata: { annotations: { a: 'b' } },
      spec: { containers: list('c'), initContainers: list('i'), volumes: list('v') },
    };
    const { pod: after } = inject(pod, NAMESPACE, SETTINGS, FACTS);
    const paths = patchOf(pod, after).map(({ op, path }) => `${op} ${path}`);
    expect(paths.filter((path) => !path.includes('annotations'))).to.deep.equal(['add /spec/initContainers/0', 'add /spec/volumes/30']);
  });

  it('takes a pod of 50,000 volumes and environment variables without looking at them', () => {
    const many = (prefix: string) => Array.from({ length: 50_000 }, (_, i) => ({ name: `${prefix}${i}` }));
    const containers = [{ name: 'app', env: many('e'), livenessProbe: { tcpSocket: { port: 1 } } }];
    const pod = { metadata: {}, spec: { containers, volumes: many('v') } } as InjectablePod;
    const { pod: after } = inject(pod, NAMESPACE, SETTINGS, FACTS);
    expect(patchOf(pod, after)).to.have.length(5);
  });
});
