import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { Field } from '#sidecar/http/field.ts';
import { HpackEncoder } from '#sidecar/http2/hpack-encoder.ts';
import { RandomWords } from '#sidecar/observe/tracing/ids.ts';
import { type Sampling, Tracer } from '#sidecar/observe/tracing/tracer.ts';
import type { RuleRecord } from '#sidecar/route/records.ts';
import { blockOf } from '../../../support/ended-call.ts';
import { backend, rule } from '../../../support/proxy.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const ALWAYS: Sampling = { parentBased: true, ratio: 1 };
const NEVER: Sampling = { parentBased: true, ratio: 0 };
const bare = blockOf({ ':method': 'POST' });

function tracerOf(sampling: Sampling): Tracer {
  return new Tracer(sampling, new RandomWords(randomBytes(16)));
}

function headersOf(fields: readonly Field[] | undefined): string[] {
  return (fields ?? []).map(({ name, value }) => `${name}: ${value}`);
}

function shareOf(tracer: Tracer, on: RuleRecord | null, calls = 20_000): number {
  let recorded = 0;
  for (let i = 0; i < calls; i++) if (tracer.begin(bare, on)?.recorded === true) recorded++;
  return recorded / calls;
}

describe('tracer', () => {
  it('begins a trace, and says so to the next', () => {
    const trace = tracerOf(ALWAYS).begin(bare, null)!;
    expect(trace.recorded).to.equal(true);
    expect(headersOf(trace.outgoing([]))).to.have.length(1);
    expect(headersOf(trace.outgoing([]))[0]).to.match(new RegExp(`^traceparent: 00-${trace.traceId}-[0-9a-f]{16}-01$`));
  });

  it('goes on with the trace that came, in place of its parent', () => {
    const block = blockOf({ ':method': 'POST', traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'vendor=1', 'grpc-timeout': '1S' });
    const trace = tracerOf(NEVER).begin(block, null)!;
    const [state, timeout, parent] = headersOf(trace.outgoing(block.varying));
    expect([trace.traceId, state, timeout]).to.deep.equal([TRACE, 'tracestate: vendor=1', 'grpc-timeout: 1S']);
    expect(parent)
      .to.match(new RegExp(`^traceparent: 00-${TRACE}-[0-9a-f]{16}-01$`))
      .and.not.contain(SPAN);
  });

  it('passes on that the identifier is random, and no unknown flag', () => {
    const flags = (given: string, sampling: Sampling): string => {
      const block = blockOf({ ':method': 'POST', traceparent: `00-${TRACE}-${SPAN}-${given}` });
      return headersOf(tracerOf(sampling).begin(block, null)!.outgoing(block.varying))[0].slice(-2);
    };
    expect([flags('01', ALWAYS), flags('03', ALWAYS), flags('ff', ALWAYS)]).to.deep.equal(['01', '03', '03']);
    expect(flags('03', { parentBased: false, ratio: 0 })).to.equal('02');
  });

  it('leaves a call alone that has no room for one field more', () => {
    const full = blockOf({ ':method': 'POST', baggage: 'x'.repeat(65_536 - 43 - 39) });
    expect(tracerOf(ALWAYS).begin(full, null)).to.equal(null);
  });

  it('records nothing where B3 says no, though it names no trace', () => {
    const block = blockOf({ ':method': 'POST', b3: '0' });
    const trace = tracerOf(ALWAYS).begin(block, null)!;
    expect(trace.recorded).to.equal(false);
    expect(headersOf(trace.outgoing(block.varying))[1]).to.match(/-00$/);
  });

  it('touches nothing where the caller decided against', () => {
    const block = blockOf({ ':method': 'POST', traceparent: `00-${TRACE}-${SPAN}-00` });
    expect(tracerOf(ALWAYS).begin(block, null)).to.equal(null);
  });

  it('passes its own decision against on, so that no later hop decides again', () => {
    const trace = tracerOf(NEVER).begin(bare, null)!;
    expect(trace.recorded).to.equal(false);
    expect(headersOf(trace.outgoing([]))[0]).to.match(/^traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    const b3 = blockOf({ ':method': 'POST', b3: `${TRACE}-${SPAN}-0` });
    expect(headersOf(tracerOf(ALWAYS).begin(b3, null)!.outgoing(b3.varying))).to.include(`traceparent: 00-${TRACE}-${SPAN}-00`);
  });

  it('begins anew where what came may not be followed, and drops it', () => {
    const block = blockOf({ ':method': 'POST', traceparent: `00-${TRACE}-${SPAN}-xx`, tracestate: 'vendor=1', baggage: 'a=1' });
    const [baggage, parent, ...others] = headersOf(tracerOf(ALWAYS).begin(block, null)!.outgoing(block.varying));
    expect([baggage, others]).to.deep.equal(['baggage: a=1', []]);
    expect(parent)
      .to.match(/^traceparent: 00-/)
      .and.not.contain(TRACE);
  });

  it('records the share that was asked for: of the rule, of the control plane, of the environment', () => {
    const tracer = tracerOf({ parentBased: true, ratio: 0.1 });
    expect(shareOf(tracer, null)).to.be.closeTo(0.1, 0.02);
    tracer.setShare(0.5);
    expect(shareOf(tracer, rule([backend('payment')]))).to.be.closeTo(0.5, 0.03);
    expect(shareOf(tracer, rule([backend('payment')], { traceSampling: 0 }))).to.equal(0);
    expect(shareOf(tracer, rule([backend('payment')], { traceSampling: 1 }))).to.equal(1);
    tracer.setShare(null);
    expect(shareOf(tracer, null)).to.be.closeTo(0.1, 0.02);
  });

  it('asks no caller where the sampler is not parent based', () => {
    const sampled = blockOf({ ':method': 'POST', traceparent: `00-${TRACE}-${SPAN}-01` });
    expect(tracerOf({ parentBased: false, ratio: 0 }).begin(sampled, null)!.recorded).to.equal(false);
    const unsampled = blockOf({ ':method': 'POST', traceparent: `00-${TRACE}-${SPAN}-00` });
    expect(tracerOf({ parentBased: false, ratio: 1 }).begin(unsampled, null)!.recorded).to.equal(true);
  });

  it('is encoded as any other field', () => {
    const trace = tracerOf(ALWAYS).begin(bare, null)!;
    const [field] = trace.outgoing([]);
    const [quick, slow] = [Buffer.alloc(256), Buffer.alloc(256)];
    const end = HpackEncoder.writeVarying(field, quick, 0);
    const { name, value, size, of, never, fault, id, spelled } = field;
    expect(HpackEncoder.writeVarying({ name, value, size, of, never, fault, id, encoded: null, spelled }, slow, 0)).to.equal(end);
    expect(quick.equals(slow)).to.equal(true);
    expect(end).to.be.at.most(HpackEncoder.varyingRoom(field));
  });

  it('makes no identifier twice', () => {
    const tracer = tracerOf(ALWAYS);
    const seen = new Set<string>();
    for (let i = 0; i < 50_000; i++) seen.add(tracer.begin(bare, null)!.traceId);
    expect(seen.size).to.equal(50_000);
  });
});
