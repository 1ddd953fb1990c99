// Every named bound is in the user's page with its value, and some test besides this one provokes it.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import * as shared from '#sidecar/http/limits.ts';
import * as http1 from '#sidecar/http1/limits.ts';
import * as http2 from '#sidecar/http2/limits.ts';

const limits = { ...shared, ...http1, ...http2 };
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PAGE = readFileSync(`${ROOT}/docs/reference/limits.md`, 'utf8');

/** How the page writes a number: 64 KiB, 120 s, 16 384, 500. */
function spellings(value: number): string[] {
  const all = [`${value}`, value.toLocaleString('en').replace(/,/g, ' ')];
  if (value % 1024 === 0) all.push(`${value / 1024} KiB`);
  if (value % (1024 * 1024) === 0) all.push(`${value / 1024 / 1024} MiB`);
  if ((value + 1) % 1024 === 0) all.push(`${(value + 1) / 1024} KiB − 1`);
  if (value % 60_000 === 0) all.push(`${value / 60_000} min`);
  all.push(value % 1000 === 0 ? `${value / 1000} s` : `${value} ms`);
  return all;
}

describe('limits', () => {
  it('stand in docs/reference/limits.md, each with its value in its row', () => {
    for (const [name, value] of Object.entries(limits)) {
      const rows = PAGE.split('\n').filter((row) => row.startsWith('|') && row.includes(`\`${name}\``));
      expect(rows.length, `${name} has a row`).greaterThan(0);
      expect(
        rows.some((row) => spellings(value).some((text) => row.includes(text))),
        `${name} = ${value} in its row`,
      ).equal(true);
    }
  });

  it('are each provoked by a test', () => {
    const tests = readdirSync(`${ROOT}/test/sidecar`, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts') && !path.endsWith('limits.test.ts'))
      .map((path) => readFileSync(`${ROOT}/test/sidecar/${path}`, 'utf8'))
      .join('\n');
    const unused = Object.keys(limits).filter((name) => !new RegExp(`\\b${name}\\b`).test(tests.replace(/^import[^;]*;$/gm, '')));
    expect(unused).deep.equal([]);
  });
});
