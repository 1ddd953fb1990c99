// docs/reference/values.md says what values.yaml says. UPDATE_GOLDEN=1 rewrites it.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { CHART_DIRECTORY } from './helm.ts';
import { documentedKeys, valuesPage } from './values-page.ts';

const PAGE = path.resolve(import.meta.dirname, '../../docs/reference/values.md');

describe('docs/reference/values.md', () => {
  const source = readFileSync(path.join(CHART_DIRECTORY, 'values.yaml'), 'utf8');

  it('is made of values.yaml', () => {
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(PAGE, valuesPage(source));
    expect(readFileSync(PAGE, 'utf8')).to.equal(valuesPage(source));
  });

  it('leaves no value out', () => {
    const documented = documentedKeys(source).map(({ key }) => key);
    const silent = leaves(parse(source)).filter((leaf) => !documented.some((key) => leaf === key || leaf.startsWith(`${key}.`)));
    expect(silent).to.deep.equal([]);
    expect(documented.length).to.be.greaterThan(30);
  });
});

function leaves(values: object, prefix = ''): string[] {
  return Object.entries(values).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
      ? leaves(value, `${prefix}${key}.`)
      : [prefix + key],
  );
}
