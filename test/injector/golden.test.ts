// The golden files of injection: test/golden/injector/<case>.yaml. UPDATE_GOLDEN=1 rewrites what is expected.
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { applyPatch } from 'rfc6902';
import { podProblem } from '#injector/pod.ts';
import { type GoldenCase, readCase, renderOutcome, runCase, writeCase } from './golden-case.ts';

const directory = path.resolve(import.meta.dirname, '../golden/injector');
const files = fs.readdirSync(directory).filter((file) => file.endsWith('.yaml'));

describe('golden files of injection', () => {
  it('are all there', () => {
    expect(files.length).to.be.at.least(60);
  });

  for (const file of files) {
    describe(file, () => {
      const place = path.join(directory, file);
      const golden = readCase(fs.readFileSync(place, 'utf8'));
      const outcome = runCase(golden);

      it('is injected as expected', () => {
        const made = renderOutcome(outcome);
        if (process.env.UPDATE_GOLDEN === '1') fs.writeFileSync(place, writeCase(golden, made));
        else expect(made).to.equal(golden.expected);
      });

      it('has a patch that makes of the pod what inject() did, and of an injected pod nothing else', () => {
        expect(podProblem(golden.pod)).to.equal('');
        const before = structuredClone(golden.pod);
        const results = applyPatch(before, structuredClone(outcome.patch) as Parameters<typeof applyPatch>[1]);
        expect(results.filter(Boolean)).to.deep.equal([]);
        expect(before).to.deep.equal(JSON.parse(JSON.stringify(outcome.after)));
        const again = runCase({ ...golden, pod: before });
        expect(again.patch).to.deep.equal([]);
      });

      it('keeps all that was there, in its order', () => {
        expectKept(golden, outcome.after as never);
      });
    });
  }
});

/**
 * Takes away again what injection may add; the rest must be what it was, octet by octet. Probes and hooks are
 * compared by the cases themselves.
 */
function expectKept(golden: GoldenCase, after: { metadata?: Record<string, never>; spec: Record<string, never> }): void {
  const before = JSON.parse(JSON.stringify(golden.pod)) as typeof after;
  const rest = JSON.parse(JSON.stringify(after)) as typeof after;
  if (JSON.stringify(before) === JSON.stringify(rest)) return;
  expect(Object.keys((rest as never as { spec: object }).spec)).to.include.members(Object.keys(before.spec));
  for (const list of ['initContainers', 'volumes', 'containers']) {
    const added = ['weft-token', 'weft-proxy', 'weft-identity'];
    const own = (rest.spec[list] as { name: string }[]).filter(({ name }) => !added.includes(name));
    const old = ((before.spec[list] ?? []) as { name: string }[]).filter(({ name }) => !added.includes(name));
    expect(own.map(withoutProbes)).to.deep.equal(old.map(withoutProbes));
    delete rest.spec[list];
    delete before.spec[list];
  }
  expect(JSON.stringify(rest.spec)).to.equal(JSON.stringify(before.spec));
  const { annotations: added, ...metadata } = (rest.metadata ?? {}) as unknown as { annotations: Record<string, string> };
  const { annotations: old, ...oldMetadata } = (before.metadata ?? {}) as unknown as { annotations?: Record<string, string> | null };
  expect(JSON.stringify(metadata)).to.equal(JSON.stringify(oldMetadata));
  for (const [key, value] of Object.entries(old ?? {}))
    if (!['weft.dev/status', 'weft.dev/injected-settings'].includes(key)) expect(added[key]).to.equal(value);
}

function withoutProbes(container: Record<string, unknown> | { name: string }): string {
  return JSON.stringify(Object.entries(container).filter(([key]) => !key.endsWith('Probe') && key !== 'lifecycle'));
}
