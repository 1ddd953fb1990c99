// A request that the codec refused before it became a call: it is answered where it may be, counted and logged like a
// call that has ended.
import type { RefusalCause } from '../http/connection.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { MessageStream } from '../http/stream.ts';
import type { CompiledPort } from '../route/records.ts';
import type { EndedCall } from './ended-call.ts';
import * as errors from './errors.ts';
import type { ExchangeDeps } from './exchange-deps.ts';
import { type CallPlan, methodOf } from './plan.ts';
import { dropRestOfMalformed, reply } from './reply.ts';

const ERRORS: Readonly<Record<RefusalCause, errors.ProxyError>> = {
  malformed: errors.BAD_REQUEST,
  'too many streams': errors.TOO_MANY_STREAMS,
  draining: errors.DRAINING,
};

export interface RefusedRequest {
  readonly cause: RefusalCause;
  /** In words. */
  readonly reason: string;
  readonly block: HeaderBlock;
  /** To answer on; null: it gets no answer. */
  readonly stream: MessageStream | null;
}

/**
 * Settles a refused request. No route is looked for, and it is in no trace.
 * @param port null: its configuration has not arrived
 */
export function settleRefused(deps: ExchangeDeps, port: CompiledPort | null, { cause, reason, block, stream }: RefusedRequest): void {
  const error = ERRORS[cause];
  const { clock, origin, stats, telemetry } = deps;
  const { template } = block;
  const { grpc, format } = template;
  const plan: CallPlan | null = port === null ? null : { port, rule: null, variants: [], method: methodOf(block), grpc, failed: null };
  const call: EndedCall = {
    origin,
    block,
    plan,
    variant: null,
    lastEndpoint: null,
    startMs: clock.nowMs,
    endMs: clock.nowMs,
    attempts: 0,
    requestBytes: 0,
    responseBytes: 0,
    httpStatus: 0,
    grpcStatus: format === 'other' ? errors.grpcStatusOfHttp(error.http) : error.grpc,
    error,
    reason,
    cancelled: false,
    trace: null,
  };
  stats.proxyError(error.label);
  if (plan !== null) stats.series(plan, null, false).ended(call);
  telemetry.accessLog?.ended(call);
  if (stream === null) return;
  reply(stream, block, error, reason);
  dropRestOfMalformed(stream, block);
}
