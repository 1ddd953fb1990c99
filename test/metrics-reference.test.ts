// docs/reference/metrics.md names each metric that a program shows, with its type and labels, and no other.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import type { ControlPlane } from '#control-plane/program/assemble.ts';
import { clusterMetrics } from '#control-plane/view/cluster-metrics.ts';
import { controlPlaneMetrics } from '#control-plane/view/metrics.ts';
import { Exposition } from '#core/program/exposition.ts';
import { InjectorMetrics } from '#injector/metrics.ts';
import { NodeAgentMetrics } from '#node-agent/metrics.ts';
import { SidecarMetrics } from '#sidecar/observe/counters/metrics.ts';
import { endedCall } from '#test/support/ended-call.ts';
import { type Parsed, parseExposition } from '#test/support/exposition.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const PAGE = readFileSync(path.join(ROOT, 'docs/reference/metrics.md'), 'utf8');
/** What the types of OpenMetrics add to their families' names. */
const SUFFIXES: Readonly<Record<string, string>> = { counter: '_total', info: '_info' };

/** "type label, label" by name of a metric. */
type Metrics = Map<string, string>;

function documented(): Metrics {
  const rows = PAGE.split('\n').filter((line) => line.startsWith('| `'));
  return new Map(
    rows.map((row) => {
      const [, name, type, labels] = row.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      return [name, `${type} ${labels.split(', ').sort().join(', ')}`.trim()];
    }),
  );
}

/** One of everything that a sidecar counts. */
function sidecarPage(): string {
  const metrics = new SidecarMetrics();
  for (const direction of ['inbound', 'outbound'] as const) {
    const key = { direction, caller: 'a', service: 'b', route: 'c', rule: 'd', method: 'e/f', backend: 'g', mtls: true, grpc: true };
    metrics.requests.seriesFor(key, true).ended(endedCall());
  }
  for (const counter of [metrics.proxyErrors, metrics.tlsRefusals, metrics.upstreamCloses, metrics.downstreamCloses, metrics.spansDropped])
    counter.add('a');
  metrics.streamResets.add('client', 'CANCEL');
  metrics.detections.add({ direction: 'inbound', outcome: 'tls' });
  metrics.ejections.add({ backend: 'a', reason: 'failures' });
  metrics.tcp.opened('outbound', 'a');
  const out = new Exposition('openmetrics');
  metrics.write(out, {
    version: '1',
    nowMs: 1001,
    certificate: { notAfterMs: 1 },
    stream: { connected: true, connects: 1, versions: { trust: 'v1' }, rejected: {}, rejections: 0, lastResponseMs: 1 },
    downstreamConnections: 0,
    ejectedEndpoints: new Map([['a', 1]]),
    accessLines: { accessWritten: 0, accessDropped: 0 },
  });
  return out.toString();
}

function controlPlanePage(): string {
  const status = { synced: true, lastEventMs: 1, lists: 1, watches: 1, errors: 0, lastError: '', missing: false };
  const controlPlane = {
    publisher: {
      counters: { responses: 0, rejections: { service: 1 }, connects: 0, rounds: 0, roundMs: 0 },
      catalogue: { keys: () => [], failures: () => [] },
      sidecars: () => [],
    },
    issued: { issued: 1 },
    authorityNotAfterMs: 1,
  } as unknown as ControlPlane;
  const counts = { written: 1, conflict: 0, failed: 0 };
  const reviews = { accepted: 1, refused: 0, cached: 0, unavailable: 0 };
  const around = clusterMetrics({
    leader: true,
    followed: [{ kind: 'Service', status }],
    statuses: counts,
    reviews,
    unknownReplicas: 0,
    authority: null,
    nowMs: 2,
  });
  const out = new Exposition('openmetrics');
  out.add(controlPlaneMetrics(controlPlane, around, 2));
  return out.toString();
}

function injectorPage(): string {
  const metrics = new InjectorMetrics();
  metrics.count('injected', '');
  metrics.refusedRequests.inc({ status: '404' });
  const out = new Exposition('openmetrics');
  metrics.write(out);
  return out.toString();
}

function nodeAgentPage(): string {
  const metrics = new NodeAgentMetrics();
  metrics.loads.inc({ result: 'loaded' });
  const out = new Exposition('openmetrics');
  metrics.write(out);
  return out.toString();
}

function shown({ samples, types }: Parsed): Metrics {
  return new Map(
    Array.from(types, ([family, type]) => {
      const names = [family, `${family}_total`, `${family}_info`, `${family}_bucket`];
      const of = samples.find(({ name }) => names.includes(name));
      const labels = Object.keys(of?.labels ?? {}).filter((label) => label !== 'le');
      return [family + (SUFFIXES[type] ?? ''), `${type} ${labels.sort().join(', ')}`.trim()];
    }),
  );
}

describe('docs/reference/metrics.md', () => {
  it('names each metric that a program shows, its type and labels, and no other', () => {
    const pages = [sidecarPage(), controlPlanePage(), injectorPage(), nodeAgentPage()].map((page) =>
      shown(parseExposition(page, 'openmetrics')),
    );
    const all = new Map(pages.flatMap((page) => [...page]));
    expect(Object.fromEntries(documented())).to.deep.equal(Object.fromEntries(all));
  });

  it('asks only for metrics that there are in its examples', () => {
    const names = new Set(documented().keys());
    for (const [name] of PAGE.matchAll(/\b(?:weft|grpc|process|nodejs)_[a-z_]+[a-z]\b/g)) {
      if (['grpc_type', 'grpc_service', 'grpc_method', 'grpc_code'].includes(name)) continue;
      expect(names, name).to.include(name.replace(/_bucket$/, ''));
    }
  });
});
