// `npm run test:scale`: one control plane on one core against a real API server with 10,000 Services, and sidecars that
// speak the real protocol.
import os from 'node:os';
import { saveOutcome } from '../results.ts';
import { asText } from '../table.ts';
import { readScaleOptions, SCALE_USAGE } from './options.ts';
import { scaleTables } from './report.ts';
import { runScale } from './run.ts';

const say = (text: string): void => void process.stderr.write(`scale: ${text}\n`);
const options = readScaleOptions(process.argv.slice(2));
if ('problem' in options) {
  say(`${options.problem}\n${SCALE_USAGE}`);
  process.exit(2);
}
const [load] = os.loadavg();
const notes = load! > 0.5 ? [`The machine was not quiet: its load was ${load!.toFixed(1)} at the start.`] : [];
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
const figures = await runScale(options, say, stopping.signal);
if (figures.problem !== '') notes.push(`The run has ended early: ${figures.problem}`);
const tables = scaleTables(figures, options);
process.stdout.write(`\n${asText(tables)}\n`);
for (const note of notes) process.stdout.write(`note: ${note}\n`);
if (options.keep && tables.length > 0) {
  const { services, sidecars, changes } = options;
  const extent = `${services} Services with 10 endpoints each and one with 1,000, ${sidecars} sidecars, each change ${changes} times.`;
  const outcome = { kind: 'scale' as const, options, extent, versions: {}, figures: { ...figures }, tables, notes };
  process.stdout.write(`written to ${saveOutcome(outcome, new Date())}\n`);
}
// Connections of the clients stay open otherwise.
process.exit(figures.problem === '' ? 0 : 1);
