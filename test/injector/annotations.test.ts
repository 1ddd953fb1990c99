// Ports and quantities as people write them; what the sidecar is handed, its own parsers take.
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { containsPort, formatPortList, parsePortList } from '#injector/port-list.ts';
import { parseQuantity } from '#injector/quantity.ts';
import { includesPort, parsePortRanges } from '#sidecar/capture/port-ranges.ts';
import { parseProbes } from '#sidecar/probe/targets.ts';
import { readCase, runCase } from './golden-case.ts';

describe('port lists', () => {
  it('are read and written', () => {
    expect(parsePortList(' 25, 8000 - 8100 ')).to.deep.equal([
      { first: 25, last: 25 },
      { first: 8000, last: 8100 },
    ]);
    expect(formatPortList(parsePortList('25,8000-8100, 7-7'))).to.equal('25,8000-8100,7');
    expect(parsePortList('  ')).to.deep.equal([]);
    expect(containsPort(parsePortList('8000-8100'), 8100)).to.equal(true);
    expect(containsPort(parsePortList('8000-8100'), 8101)).to.equal(false);
  });

  it('are refused with the part that is wrong', () => {
    for (const [text, part] of [
      ['80,,81', '""'],
      ['http', '"http"'],
      ['0', '"0"'],
      ['65536', '"65536"'],
      ['1-', '"1-"'],
      ['9-8', '"9-8"'],
      ['-1', '"-1"'],
    ])
      expect(() => parsePortList(text), text).to.throw(RangeError, part);
    expect(() => parsePortList('1,'.repeat(300))).to.throw(RangeError, 'more than 200');
  });

  it('that we hand over are what the capture reads', () => {
    const range = fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 0, max: 99 }));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), (ranges) => {
        const list = ranges.map(([first, more]) => ({ first, last: Math.min(65535, first + more) }));
        const text = formatPortList(list);
        expect(parsePortList(text)).to.deep.equal(list);
        const read = parsePortRanges('ports', text);
        expect(read.problems).to.deep.equal([]);
        for (const port of [1, 65535, ...list.flatMap(({ first, last }) => [first - 1, first, last, last + 1])])
          expect(includesPort(read.ranges, port), `${port}`).to.equal(containsPort(list, port));
      }),
    );
  });
});

describe('quantities', () => {
  it('are those of Kubernetes', () => {
    const values = {
      '1': 1,
      '0.5': 0.5,
      '.5': 0.5,
      '1.': 1,
      '100m': 0.1,
      '2k': 2000,
      '64Mi': 67_108_864,
      '1e3': 1000,
      '1E2': 100,
      '2E': 2e18,
      '+1': 1,
    };
    for (const [text, value] of Object.entries(values)) expect(parseQuantity(text), text).to.equal(value);
    for (const text of ['', 'm', '-1', '64MB', '1 Mi', '1K', 'NaN', '0x10', '1,5', 'Infinity', '1'.repeat(30)])
      expect(parseQuantity(text), text).to.equal(null);
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
      const kinds = ['startupProbe', 'readinessProbe', 'livenessProbe'] as const;
      const pointed = [...(after.spec?.initContainers ?? []), ...(after.spec?.containers ?? [])].flatMap((container) =>
        kinds.flatMap((kind) => container[kind]?.httpGet?.path?.match(/^\/probe\/(.*)$/)?.[1] ?? []),
      );
      expect([...parseProbes(probes).targets.keys()].sort()).to.deep.equal(pointed.sort());
    });
  }
});
