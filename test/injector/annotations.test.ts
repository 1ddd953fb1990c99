// What annotations change of an injected pod; what the sidecar gets, its own parsers take.
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { parseProbes } from '#core/contract/probes.ts';
import { inject } from '#injector/inject.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import { readCase, runCase } from './golden-case.ts';

const FACTS = { hookToken: 'TOKEN', limits: NO_LIMITS };

describe('annotations that sidecars follow', () => {
  it('leave no trace in what is injected', () => {
    const { pod, settings } = readCase(
      fs.readFileSync(path.resolve(import.meta.dirname, '../golden/injector/TelemetryAnnotations.yaml'), 'utf8'),
    );
    const namespace = { name: 'shop', labels: {}, annotations: { 'weft.dev/access-log': 'all', 'weft.dev/trace-sampling': '1' } };
    const plain = { ...pod, metadata: { ...pod.metadata, annotations: {} } };
    const { pod: after, warnings } = inject(pod, namespace, settings, FACTS);
    expect(warnings).to.deep.equal([]);
    expect(after.spec).to.deep.equal(inject(plain, { ...namespace, annotations: {} }, settings, FACTS).pod.spec);
  });
});

describe('the environment of the golden pods', () => {
  const directory = path.resolve(import.meta.dirname, '../golden/injector');
  for (const file of fs.readdirSync(directory).filter((name) => name.endsWith('.yaml'))) {
    it(`${file} is what the sidecar reads`, () => {
      const { after } = runCase(readCase(fs.readFileSync(path.join(directory, file), 'utf8')));
      const sidecar = after.spec?.initContainers?.find(({ name }) => name === 'weft-proxy') as
        | { env?: { name: string; value?: string }[] }
        | undefined;
      const env = Object.fromEntries((sidecar?.env ?? []).map(({ name, value }) => [name, value]));
      // As the kubelet does.
      const probes = (env.WEFT_PROBES ?? '').replaceAll('$$', '$');
      expect(parseProbes(probes).problems).to.deep.equal([]);
      const hooks = ['postStart', 'preStop'] as const;
      const kinds = ['startupProbe', 'readinessProbe', 'livenessProbe'] as const;
      const pointed = [...(after.spec?.initContainers ?? []), ...(after.spec?.containers ?? [])].flatMap((container) =>
        [...kinds.map((kind) => container[kind]), ...hooks.map((kind) => container.lifecycle?.[kind])].flatMap(
          (each) => each?.httpGet?.path?.match(/^\/probe\/([^?]*)/)?.[1] ?? [],
        ),
      );
      expect([...parseProbes(probes).targets.keys()].sort()).to.deep.equal(pointed.sort());
    });
  }
});
