// A real Prometheus for tests: its own data directory, a free port of 127.0.0.1, intervals of a fraction of a second.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePorts } from './free-port.ts';
import { prometheusPrograms } from './prometheus-program.ts';
import { startServer } from './server-process.ts';

const SCRAPE_INTERVAL = '200ms';
const START_ATTEMPTS = 3;

export interface ScrapeJob {
  readonly job: string;
  readonly targets: readonly ScrapeTarget[];
  /** Default /metrics. */
  readonly path?: string;
}

export interface ScrapeTarget {
  /** host:port. */
  readonly address: string;
  /** Added to all its series. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface PrometheusSettings {
  readonly scrape: readonly ScrapeJob[];
  /** Rule files, by their paths. */
  readonly rules?: readonly string[];
  /** Of scrapes and of rules, default 200ms. */
  readonly interval?: string;
}

/** One series of an instant query. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** As the API writes it: a number, NaN, +Inf, -Inf. */
  readonly value: number;
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>> & { readonly alertname: string };
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

/** What /api/v1/targets says of a target. */
export interface Target {
  readonly labels: Readonly<Record<string, string>>;
  readonly scrapeUrl: string;
  readonly health: 'up' | 'down' | 'unknown';
  readonly lastError: string;
}

export interface Prometheus {
  /** An instant query now. @throws Error with what Prometheus says of the expression */
  query(promql: string): Promise<Sample[]>;
  /** The first sample's value; undefined without samples. */
  value(promql: string): Promise<number | undefined>;
  alerts(): Promise<Alert[]>;
  targets(): Promise<Target[]>;
  /** The labels of the exemplars that series of the expression have got since then. */
  exemplars(promql: string, sinceMs: number): Promise<Record<string, string>[]>;
  stop(): Promise<void>;
}

/** Starts it and waits until it answers. @throws Error that says why it cannot be had or does not start */
export async function startPrometheus(settings: PrometheusSettings): Promise<Prometheus> {
  const programs = await prometheusPrograms();
  if ('skip' in programs) throw new Error(programs.skip);
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(programs.prometheus, settings);
    } catch (error) {
      if (attempt === START_ATTEMPTS || !/address already in use/.test((error as Error).message)) throw error;
    }
  }
}

async function start(program: string, settings: PrometheusSettings): Promise<Prometheus> {
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-prometheus-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  const config = path.join(directory, 'prometheus.yml');
  writeFileSync(config, JSON.stringify(configOf(settings)));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  try {
    const { stop } = await startServer(
      program,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${path.join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--enable-feature=exemplar-storage',
        '--log.level=warn',
      ],
      `${url}/-/ready`,
    );
    const get = async (path: string) => (await fetch(url + path)).text();
    return client(get, async () => {
      await stop();
      remove();
    });
  } catch (error) {
    remove();
    throw error;
  }
}

/** JSON is YAML, too. */
function configOf({ scrape, rules = [], interval = SCRAPE_INTERVAL }: PrometheusSettings): unknown {
  return {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: rules.map((file) => path.resolve(file)),
    scrape_configs: scrape.map(({ job, targets, path: metrics = '/metrics' }) => ({
      job_name: job,
      metrics_path: metrics,
      static_configs: targets.map(({ address, labels = {} }) => ({ targets: [address], labels })),
    })),
  };
}

/**
 * What a Prometheus answers, wherever it runs.
 * @param get the body of a GET of a path with its query; may throw instead of giving an error's body
 */
export function client(get: (path: string) => Promise<string>, stop: () => Promise<void> = async () => {}): Prometheus {
  const ask = async <T>(what: string, query: Record<string, string> = {}): Promise<T> => {
    const text = await get(`/api/v1/${what}?${new URLSearchParams(query)}`);
    let body: { status: string; data: T; error?: string };
    try {
      body = JSON.parse(text);
    } catch {
      throw new Error(`Prometheus answers: ${text.slice(0, 300)}`);
    }
    if (body.status !== 'success') throw new Error(body.error ?? text.slice(0, 300));
    return body.data;
  };
  const query = async (promql: string) => {
    const { result } = await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>('query', { query: promql });
    return result.map(({ metric, value: [, text] }) => ({ metric, value: numberOf(text) }));
  };
  return {
    query,
    value: async (promql) => (await query(promql))[0]?.value,
    alerts: async () => (await ask<{ alerts: Alert[] }>('alerts')).alerts,
    targets: async () => (await ask<{ activeTargets: Target[] }>('targets', { state: 'active' })).activeTargets,
    async exemplars(promql, sinceMs) {
      const span = { start: `${sinceMs / 1000}`, end: `${Date.now() / 1000 + 1}` };
      const all = await ask<{ exemplars: { labels: Record<string, string> }[] }[]>('query_exemplars', { query: promql, ...span });
      return all.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels));
    },
    stop,
  };
}

function numberOf(text: string): number {
  return text.endsWith('Inf') ? Number(text.replace('Inf', 'Infinity')) : Number(text);
}
