// What counting a call costs, without the call: all that an exchange does for counters, millions of times, with the
// product's own plans and series.
// A program, because the result depends on Node's flags: node <the sidecar's flags> metrics-loop.ts; prints MetricsCost
// as JSON.

import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import type { EndedCall } from '#sidecar/forward/ended-call.ts';
import type { CallOrigin } from '#sidecar/forward/outcome.ts';
import { type CallPlan, planFor, seriesOf, type Variant } from '#sidecar/forward/plan.ts';
import type { SeriesSource } from '#sidecar/forward/series.ts';
import type { CallTrace } from '#sidecar/forward/trace.ts';
import type { Upstreams } from '#sidecar/forward/upstreams.ts';
import { makeField } from '#sidecar/http/field.ts';
import { HeaderBlock, Template } from '#sidecar/http/header-block.ts';
import { SidecarMetrics } from '#sidecar/observe/counters/metrics.ts';
import { newSeriesSource } from '#sidecar/observe/counters/series-source.ts';
import { chooseBackend } from '#sidecar/route/choose.ts';
import { compileService } from '#sidecar/route/compile/compile.ts';
import type { CompiledPort } from '#sidecar/route/records.ts';
import { median } from './measure.ts';
import { meshObjects, NAMESPACE, SERVICE, SERVICE_PORT } from './mesh-objects.ts';
import type { MetricsCost } from './metrics-cost.ts';
import { METHODS } from './work.ts';

const CALLS = 1_000_000;
const REPETITIONS = 7;
/** Prepared before, so that the loop makes nothing of its own: a power of two. */
const PREPARED = 4096;
/** Latencies spread evenly on a logarithmic scale from 0.1 to 100 ms. */
const DECADES = 3;
const SHORTEST_MS = 0.1;

const origin: CallOrigin = { direction: 'outbound', caller: () => 'bench/client', mtls: null };

class Call implements EndedCall {
  readonly origin = origin;
  readonly block: HeaderBlock;
  plan: CallPlan | null = null;
  variant: Variant | null = null;
  readonly lastEndpoint = null;
  startMs = 0;
  endMs = 0;
  readonly attempts = 1;
  requestBytes = 0;
  responseBytes = 0;
  readonly httpStatus = 200;
  grpcStatus = 0;
  readonly error = null;
  readonly reason = '';
  readonly cancelled = false;
  trace: CallTrace | null = null;

  constructor(block: HeaderBlock) {
    this.block = block;
  }
}

function benchPort(): CompiledPort {
  const store = new ObjectStore();
  store.replaceAll(
    meshObjects({ protocol: 'grpc', methods: METHODS, backendAddress: '127.0.0.1', backendPorts: [9001, 9002], meshed: true }),
  );
  const { service } = translateService(store, `${NAMESPACE}/${SERVICE}`, { trustDomain: 'cluster.local', strictReferenceGrants: false });
  return compileService(service!).get(SERVICE_PORT)!;
}

function blockOf(path: string): HeaderBlock {
  const headers = { ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': SERVICE, 'content-type': 'application/grpc' };
  return new HeaderBlock(new Template(Object.entries(headers).map(([name, value], id) => makeField(name, value, false, id))), [], false);
}

/** The calls' methods, variants and latencies, in an order without a pattern. */
function prepare(): { plans: CallPlan[]; variants: Variant[]; latencies: Float64Array; traces: CallTrace[]; call: Call } {
  const port = benchPort();
  // Counting asks nothing of an upstream.
  const upstreams = { get: () => ({}) } as unknown as Upstreams;
  const blocks = METHODS.map(blockOf);
  const byMethod = blocks.map((block) => planFor(block, port, upstreams));
  let state = 1;
  const random = (): number => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff;
  const plans = Array.from({ length: PREPARED }, () => byMethod[Math.floor(random() * byMethod.length)]);
  return {
    plans,
    variants: plans.map((plan) => plan.variants[chooseBackend(plan.rule!)]),
    latencies: Float64Array.from(plans, () => SHORTEST_MS * 10 ** (random() * DECADES)),
    traces: plans.map(() => ({
      recorded: true,
      traceId: Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join(''),
      outgoing: (varying) => varying,
      retried: () => {},
    })),
    call: new Call(blocks[0]),
  };
}

type Prepared = ReturnType<typeof prepare>;

/** The loop without counting: what is left of an exchange around it. @returns ns a call */
function around({ plans, variants, latencies, traces, call }: Prepared, traced: boolean): number {
  const from = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) {
    const at = i & (PREPARED - 1);
    call.plan = plans[at];
    call.variant = variants[at];
    call.trace = traced ? traces[at] : null;
    call.startMs = i;
    call.endMs = i + latencies[at];
  }
  return Number(process.hrtime.bigint() - from) / CALLS;
}

/** The same with counting. @returns ns a call */
function counted({ plans, variants, latencies, traces, call }: Prepared, traced: boolean, stats: SeriesSource): number {
  const from = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) {
    const at = i & (PREPARED - 1);
    call.plan = plans[at];
    call.variant = variants[at];
    call.trace = traced ? traces[at] : null;
    call.startMs = i;
    const series = seriesOf(plans[at], variants[at], true, stats);
    series.inFlight++;
    call.requestBytes = 0;
    call.requestBytes += 100;
    call.responseBytes = 0;
    call.responseBytes += 5;
    call.endMs = i + latencies[at];
    series.inFlight--;
    series.ended(call);
  }
  return Number(process.hrtime.bigint() - from) / CALLS;
}

function measure(): MetricsCost {
  const prepared = prepare();
  const metrics = new SidecarMetrics();
  const stats = newSeriesSource(metrics, origin);
  const ns: [number[], number[]] = [[], []];
  for (let i = 0; i < REPETITIONS; i++) {
    for (const traced of [false, true]) {
      const base = around(prepared, traced);
      const whole = counted(prepared, traced, stats);
      // The first round is interpreted code.
      if (i > 0) ns[traced ? 1 : 0].push(whole - base);
    }
  }
  const series = [...metrics.requests.all()].length;
  if (series !== METHODS.length * 2) throw new Error(`${series} series instead of one per method and backend`);
  return { ns: median(ns[0]), withExemplarNs: median(ns[1]) };
}

process.stdout.write(`${JSON.stringify(measure())}\n`);
