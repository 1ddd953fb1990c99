// Decides, before anything else is done, whether a call is recorded, and what trace context goes on with it.
import type { CallTrace, CallTracer } from '../../forward/trace.ts';
import type { Field } from '../../http/field.ts';
import type { HeaderBlock } from '../../http/header-block.ts';
import type { RuleRecord } from '../../route/records.ts';
import { IncomingContext } from './context.ts';
import { putHex, type RandomWords } from './ids.ts';
import { TraceparentField } from './traceparent-field.ts';

/** OTEL_TRACES_SAMPLER in two numbers. */
export interface Sampling {
  /** The caller's decision holds where there is one. */
  readonly parentBased: boolean;
  /** Share of the other traces, 0 to 1. */
  readonly ratio: number;
}

/** An attempt that failed before the last one. */
export interface Retry {
  readonly atMs: number;
  readonly endpoint: string;
  readonly reason: string;
}

/** A call is retried three times at most; this only bounds what is kept. */
const MAX_RETRIES = 8;
const SAMPLED = 1;
const TWO_32 = 2 ** 32;

/** What goes on with a call: identifiers as words, trace (t) and span (s). */
class OutgoingTrace {
  readonly t0: number;
  readonly t1: number;
  readonly t2: number;
  readonly t3: number;
  readonly s0: number;
  readonly s1: number;
  /** Of W3C Trace Context. */
  readonly flags: number;
  private readonly keepState: boolean;
  private readonly field: TraceparentField;

  constructor(field: TraceparentField, { found, t0, t1, t2, t3 }: IncomingContext, s0: number, s1: number, flags: number) {
    this.field = field;
    this.keepState = found === 'w3c';
    this.t0 = t0;
    this.t1 = t1;
    this.t2 = t2;
    this.t3 = t3;
    this.s0 = s0;
    this.s1 = s1;
    this.flags = flags;
  }

  get traceId(): string {
    return traceIdOf(this.t0, this.t1, this.t2, this.t3);
  }

  outgoing(varying: readonly Field[]): readonly Field[] {
    const { field } = this;
    field.write(this.t0, this.t1, this.t2, this.t3, this.s0, this.s1, this.flags);
    return field.among(varying, this.keepState);
  }
}

/** A call that we record: our span's parent is the one that came, and our span is the parent of what goes on. */
export class RecordedTrace extends OutgoingTrace implements CallTrace {
  readonly recorded = true;
  retries: Retry[] | null = null;
  /** The parent span; both 0: the trace begins here. */
  readonly p0: number;
  readonly p1: number;
  readonly tracestate: string;

  constructor(field: TraceparentField, context: IncomingContext, s0: number, s1: number) {
    super(field, context, s0, s1, SAMPLED | context.flags);
    const known = context.found !== 'none';
    this.p0 = known ? context.s0 : 0;
    this.p1 = known ? context.s1 : 0;
    this.tracestate = context.tracestate;
  }

  retried(atMs: number, endpoint: string, reason: string): void {
    this.retries ??= [];
    if (this.retries.length < MAX_RETRIES) this.retries.push({ atMs, endpoint, reason });
  }
}

/** A call that we do not record; the decision is passed on so that no later hop decides again. */
class UnrecordedTrace extends OutgoingTrace implements CallTrace {
  readonly recorded = false;

  retried(): void {}
}

export class Tracer implements CallTracer {
  private readonly random: RandomWords;
  private readonly sampling: Sampling;
  /** Instead of sampling.ratio; null: not given. */
  private share: number | null = null;
  private readonly context = new IncomingContext();
  private readonly field = new TraceparentField();

  constructor(sampling: Sampling, random: RandomWords) {
    this.sampling = sampling;
    this.random = random;
  }

  /** Sets the share of traces begun here that are recorded. @param share 0 to 1; null: as the environment says */
  setShare(share: number | null): void {
    this.share = share;
  }

  begin(block: HeaderBlock, rule: RuleRecord | null): CallTrace | null {
    const { context, random } = this;
    context.read(block);
    // A call that would be refused with one field more is left alone: tracing ends no call.
    if (!context.hasRoom) return null;
    const { found } = context;
    if (found === 'none') {
      context.t0 = random.next();
      context.t1 = random.next();
      context.t2 = random.next();
      context.t3 = random.next();
    }
    if (this.decide(context, rule)) return new RecordedTrace(this.field, context, random.next(), random.next());
    // A call that its caller decided not to record passes as it came.
    if (found === 'w3c' && context.sampled === false) return null;
    return found === 'none'
      ? new UnrecordedTrace(this.field, context, random.next(), random.next(), context.flags)
      : new UnrecordedTrace(this.field, context, context.s0, context.s1, context.flags);
  }

  private decide(context: IncomingContext, rule: RuleRecord | null): boolean {
    const { sampled } = context;
    if (sampled !== null && this.sampling.parentBased) return sampled;
    const share = rule === null || rule.traceSampling < 0 ? (this.share ?? this.sampling.ratio) : rule.traceSampling;
    // By the trace identifier's last octets, which are random (W3C level 2): all sidecars of a trace decide alike.
    return (context.t3 >>> 0) / TWO_32 < share;
  }
}

const DIGITS = Buffer.alloc(32);

function traceIdOf(t0: number, t1: number, t2: number, t3: number): string {
  putHex(DIGITS, 0, t0);
  putHex(DIGITS, 8, t1);
  putHex(DIGITS, 16, t2);
  putHex(DIGITS, 24, t3);
  return DIGITS.latin1Slice(0, 32);
}
