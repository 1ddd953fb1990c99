// The beginning of a call: which rule and backend serve it, or why none does; its deadline and its copies.
import { chooseBackend, shouldMirror } from '../route/choose.ts';
import type { CompiledPort } from '../route/records.ts';
import { attempt } from './attempt.ts';
import { parseGrpcTimeout } from './deadlines.ts';
import { refuse } from './ending.ts';
import * as errors from './errors.ts';
import { MirrorCall } from './mirror.ts';
import { answerItself } from './own-answer.ts';
import { type EditedRequest, editedRequest, planFor, type Variant } from './plan.ts';
import type { RunningCall } from './running-call.ts';

/** Routes a call and sends it on. @param port null: its configuration has not arrived */
export function route(call: RunningCall, port: CompiledPort | null): void {
  const { block, deps } = call;
  const plan = port === null ? null : planFor(block, port, deps.upstreams);
  call.plan = plan;
  const { tracer } = deps.telemetry;
  if (tracer !== null) call.trace = tracer.begin(block, plan === null ? null : plan.rule);
  if (plan === null) return refuse(call, errors.NO_CONFIG, deps.missing ?? 'the configuration of what is called has not arrived');
  if (block.tooLarge) return refuse(call, errors.HEADERS_TOO_LARGE, 'request headers exceed 64 KiB or 100 fields');
  if (block.template.method === 'CONNECT' && block.template.protocol === '')
    return refuse(call, errors.NOT_SERVED, 'CONNECT is not served');
  const { rule } = plan;
  if (rule === null) return refuse(call, errors.NO_ROUTE, `no route of ${plan.port.service.key} matches ${askedFor(call)}`);
  if (rule.invalid !== '') return refuse(call, errors.INVALID_RULE, rule.invalid);
  if (rule.redirect !== null && answerItself(call, rule.cors, rule.redirect)) return;
  if (rule.backends.length === 0) return refuse(call, errors.INVALID_RULE, 'the rule has no backend with weight');
  const variant = plan.variants[chooseBackend(rule)];
  call.variant = variant;
  if (variant.backend.invalid !== '') return refuse(call, errors.INVALID_BACKEND, variant.backend.invalid);
  if (variant.answers && answerItself(call, variant.backend.cors, variant.backend.redirect)) return;
  if (rule.retry !== null) variant.upstream.budget.earn();
  startDeadline(call, rule.requestTimeoutMs);
  if (variant.mirrors.length > 0) startMirrors(call, variant);
  attempt(call);
}

/** "payment.PaymentService/Charge", or "GET /items"; without the query, which may hold secrets. */
function askedFor({ block }: RunningCall): string {
  const { format, method } = block.template;
  const path = block.path.split('?', 1)[0];
  return format === 'other' ? `${method} ${path}` : path.replace(/^\//, '');
}

/** @param requestTimeoutMs of the rule; 0: none */
function startDeadline(call: RunningCall, requestTimeoutMs: number): void {
  const timeout = call.block.varyingValue('grpc-timeout');
  let timeoutMs = timeout === undefined ? -1 : parseGrpcTimeout(timeout);
  if (requestTimeoutMs > 0 && (timeoutMs < 0 || requestTimeoutMs < timeoutMs)) timeoutMs = requestTimeoutMs;
  if (timeoutMs < 0) return;
  call.untilMs = call.startMs + timeoutMs;
  call.deps.deadlines.add(call, call.untilMs);
}

/** A copy has the headers that the call goes out with. */
function startMirrors(call: RunningCall, variant: Variant): void {
  let edited: EditedRequest | null = null;
  for (const { mirror, upstream } of variant.mirrors) {
    if (!shouldMirror(mirror)) continue;
    edited ??= editedRequest(call.block, variant);
    const { source, varying } = edited;
    (call.mirrors ??= []).push(
      new MirrorCall(call.deps, upstream, source, varying, call.trace, call.request.ended, call.block.template.fromHttp1),
    );
  }
}
