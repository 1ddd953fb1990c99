// A finished benchmark as files: all figures as JSON under its date, and the tables of the newest as Markdown.
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { asMarkdown, type Table } from './table.ts';

const HOW = {
  latest:
    'c,m: connections, streams at once on each. Proxies share core 0, load and backends core 1: where core 0 is not busy, core 1 was the limit.',
  telemetry:
    'Proxies have core 0; load, backends and the server that takes the spans core 1: where core 0 is not busy, core 1 was the limit, and CPU says more than requests/s.',
  'open-loop':
    'A pair of proxies has core 0; load and backend core 1. Proxies are started anew for each round and get no warm-up; the first second stands apart.',
  http1:
    'Keep-alive connections, one request at a time on each. Proxies share core 0, load and backends (nginx) core 1: where core 0 is not busy, core 1 was the limit. Between two Envoys HTTP/1.1 over mTLS, as Istio has it.',
  tcp: 'iperf3 writes 64 KiB at a time over 4 connections. Proxies have core 0; load and server core 1, which is the limit where core 0 is not busy: octets per second of CPU say more than Gbit/s.',
  scale:
    'The control plane has core 0 and the heap of its container; API server, etcd and the sidecars, which are the streams of real ones with nothing behind, have the others. What sidecars do with what they get is part of the times.',
} as const;

const TITLES = {
  latest: 'The newest benchmark',
  telemetry: 'What tracing and metrics cost',
  'open-loop': 'Latency at steady rates',
  http1: 'Requests of HTTP/1.1',
  tcp: 'Throughput of TCP connections',
  scale: 'One control plane and a large mesh',
} as const;

export interface Outcome {
  /** 'latest': the comparison of proxies. */
  readonly kind: keyof typeof HOW;
  readonly options: object;
  /** How much was measured, a sentence. */
  readonly extent: string;
  /** Peer → version. */
  readonly versions: Readonly<Record<string, string>>;
  /** All figures, for programs. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** The same for people. */
  readonly tables: readonly Table[];
  /** What is missing, and why. */
  readonly notes: readonly string[];
}

/** Writes results/<date>.json and results/<kind>.md. @returns the JSON file, from the working directory */
export function saveOutcome(outcome: Outcome, now: Date): string {
  const directory = path.join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  const { kind, options, extent, versions, figures, tables, notes } = outcome;
  const stamp = now.toISOString().slice(0, 16).replace(/[-:]/g, '').replace('T', '-');
  const name = kind === 'latest' ? `${stamp}.json` : `${stamp}-${kind}.json`;
  const machine = {
    cpu: os.cpus()[0]?.model ?? '?',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
  };
  const written = { at: now.toISOString(), machine, options, versions, ...figures, notes };
  writeFileSync(path.join(directory, name), `${JSON.stringify(written, null, 1)}\n`);
  const programs = Object.entries(versions).map(([peer, version]) => `${peer} ${version}`);
  const head = [
    `# ${TITLES[kind]}`,
    '',
    `${now.toISOString().slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${[machine.node, ...programs].join(', ')}.`,
    `${extent} All figures: ${name}.`,
    HOW[kind],
    '',
    '',
  ].join('\n');
  const tail = notes.map((note) => `\n- ${note}`).join('');
  writeFileSync(path.join(directory, `${kind}.md`), `${head}${asMarkdown(tables)}${tail}${tail === '' ? '' : '\n'}`);
  return path.relative(process.cwd(), path.join(directory, name));
}
