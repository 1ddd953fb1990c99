// A real Jaeger for tests: all-in-one 1.62 with its storage in memory, on free ports of 127.0.0.1.
import { freePorts } from './free-port.ts';
import { goTool } from './go-tools.ts';
import { startServer } from './server-process.ts';

const MOST_TRACES = 5_000;
const AGENT_PROCESSORS = ['jaeger-binary', 'jaeger-compact', 'zipkin-compact'];
const START_ATTEMPTS = 3;

/** A trace as Jaeger's query API gives it (`/api/traces/<id>`). */
export interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly JaegerSpan[];
  /** By the processID of spans. */
  readonly processes: Readonly<Record<string, { readonly serviceName: string; readonly tags?: readonly JaegerTag[] }>>;
}

export interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  readonly references: readonly { readonly refType: 'CHILD_OF' | 'FOLLOWS_FROM'; readonly traceID: string; readonly spanID: string }[];
  /** Unix µs. */
  readonly startTime: number;
  /** In µs. */
  readonly duration: number;
  readonly tags: readonly JaegerTag[];
  /** Events; the tag `event` holds the name of each. */
  readonly logs: readonly { readonly timestamp: number; readonly fields: readonly JaegerTag[] }[];
  readonly processID: string;
}

export interface JaegerTag {
  readonly key: string;
  readonly type: 'string' | 'bool' | 'int64' | 'float64' | 'binary';
  readonly value: string | number | boolean;
}

export interface Jaeger {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT; spans go to `/v1/traces` under it. */
  readonly otlpUrl: string;
  /** Of the query API. */
  readonly queryUrl: string;
  /** @param id 32 hex digits @returns undefined while Jaeger knows no span of it */
  trace(id: string): Promise<JaegerTrace | undefined>;
  /** Newest first. @param service as in service.name */
  traces(service: string): Promise<JaegerTrace[]>;
  stop(): Promise<void>;
}

/**
 * Starts it, built first if it is not in the cache (minutes).
 * @throws Error that says why it cannot be had or does not start
 */
export async function startJaeger(): Promise<Jaeger> {
  const tool = await goTool('jaeger');
  if ('skip' in tool) throw new Error(tool.skip);
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(tool.path);
    } catch (error) {
      // Another program took one of the ports meanwhile.
      if (attempt === START_ATTEMPTS || !/address already in use/.test((error as Error).message)) throw error;
    }
  }
}

async function start(program: string): Promise<Jaeger> {
  const [otlp, query, admin] = await freePorts(3);
  const any = '127.0.0.1:0';
  const { stop } = await startServer(
    program,
    [
      `--memory.max-traces=${MOST_TRACES}`,
      '--collector.otlp.enabled=true',
      `--collector.otlp.http.host-port=127.0.0.1:${otlp}`,
      `--collector.otlp.grpc.host-port=${any}`,
      `--collector.grpc-server.host-port=${any}`,
      `--collector.http-server.host-port=${any}`,
      `--query.http-server.host-port=127.0.0.1:${query}`,
      `--query.grpc-server.host-port=${any}`,
      // The agent is not used here, but cannot be turned off.
      `--http-server.host-port=${any}`,
      ...AGENT_PROCESSORS.map((name) => `--processor.${name}.server-host-port=${any}`),
      `--admin.http.host-port=127.0.0.1:${admin}`,
    ],
    `http://127.0.0.1:${admin}/`,
    { env: { SPAN_STORAGE_TYPE: 'memory' } },
  );
  const queryUrl = `http://127.0.0.1:${query}`;
  // For a trace that it does not know it answers 404 with no traces.
  const tracesAt = async (path: string) => tracesIn(await (await fetch(queryUrl + path)).text());
  return {
    otlpUrl: `http://127.0.0.1:${otlp}`,
    queryUrl,
    trace: async (id) => (await tracesAt(`/api/traces/${id}`))[0],
    traces: (service) => tracesAt(`/api/traces?limit=200&service=${encodeURIComponent(service)}`),
    stop,
  };
}

/** The traces in an answer of the query API. @throws Error with another answer than traces */
export function tracesIn(text: string): JaegerTrace[] {
  try {
    return (JSON.parse(text) as { data: JaegerTrace[] | null }).data ?? [];
  } catch {
    throw new Error(`Jaeger answers: ${text.slice(0, 300)}`);
  }
}

/** Of a span, or of its process: attribute → value. */
export function tagsOf({ tags = [] }: { readonly tags?: readonly JaegerTag[] }): Record<string, JaegerTag['value']> {
  return Object.fromEntries(tags.map(({ key, value }) => [key, value]));
}
