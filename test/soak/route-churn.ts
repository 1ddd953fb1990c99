// A soak, run by hand: `node test/soak/route-churn.ts [seconds]`. The shop runs under `weft run` while its route file
// is rewritten ten times a second.
// Prints calls and failures by method, and ends with 1 when a call failed.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report } from '#cli/run/report.ts';
import { shopDirectory, startRun } from '../support/run-process.ts';

const EVERY_MS = 100;
const seconds = Number(process.argv[2] ?? '60');

const directory = shopDirectory();
const file = join(directory, 'routes.yaml');
const original = readFileSync(file, 'utf8');

/** The file of one turn: other weights, another header value, and now and then without the rule that forces v2. */
function version(turn: number): string {
  const share = turn % 100;
  const text = original
    .replace(/weight: (90|10)\b/g, (_, weight) => `weight: ${weight === '90' ? 100 - share : share}`)
    .replace('value: charge', `value: charge-${turn}`);
  return turn % 3 === 0 ? text.replace(/ {4}- name: forced-v2[\s\S]*?(?= {4}- name: charge)/, '') : text;
}

const run = startRun(directory);
let status = 1;
try {
  await run.heard(/(\d+) of \1 pods ready/);
  console.log(`the shop runs; ${file} is rewritten every ${EVERY_MS} ms for ${seconds} s`);
  const end = performance.now() + seconds * 1000;
  let turn = 0;
  for (; performance.now() < end; turn++) {
    writeFileSync(file, version(turn));
    await sleep(EVERY_MS);
  }
  await run.end('SIGINT');
  const report = JSON.parse(run.stdout()) as Report;
  const rows = new Map<string, { calls: number; failed: number; statuses: Record<string, number> }>();
  for (const call of report.calls) {
    const row = rows.get(call.method) ?? { calls: 0, failed: 0, statuses: {} };
    rows.set(call.method, row);
    row.calls += call.requests;
    for (const [code, count] of Object.entries(call.statuses)) {
      row.statuses[code] = (row.statuses[code] ?? 0) + count;
      if (code !== 'OK' && code !== '0') row.failed += count;
    }
  }
  console.log(`${turn} rewrites`);
  console.table(
    Object.fromEntries(
      [...rows].map(([method, { calls, failed, statuses }]) => [method, { calls, failed, statuses: JSON.stringify(statuses) }]),
    ),
  );
  const [calls, failed] = [...rows.values()].reduce(([all, bad], row) => [all + row.calls, bad + row.failed], [0, 0]);
  console.log(`${calls} calls, ${failed} failed`);
  status = calls > 0 && failed === 0 ? 0 : 1;
} finally {
  run.remove();
}
process.exit(status);
