// Calls that a filter of their route answers in the place of an endpoint: redirects, and preflights of CORS.
import { type Field, makeField } from '../http/field.ts';
import { type HeaderSource, newHeaderSource } from '../http/header-source.ts';
import { corsEdits, isPreflight, preflightHeaders } from '../route/cors.ts';
import { applyEdits } from '../route/edit.ts';
import { headerValue } from '../route/match.ts';
import type { CorsRecord, RedirectRecord } from '../route/records.ts';
import { locationOf } from '../route/redirect.ts';
import { finish } from './ending.ts';
import { grpcStatusOfHttp } from './errors.ts';
import { seriesOf } from './plan.ts';
import { dropRest } from './reply.ts';
import type { RunningCall } from './running-call.ts';

const NO_CONTENT = 204;
/** By status. What differs from call to call is sent as varying fields, which stay out of the encoder's table. */
const sources = new Map<number, HeaderSource>();

/** @returns whether the call was answered; false: it goes on */
export function answerItself(call: RunningCall, cors: CorsRecord | null, redirect: RedirectRecord | null): boolean {
  const { block } = call;
  if (cors !== null && block.template.method === 'OPTIONS') {
    const headers = block.list();
    if (isPreflight('OPTIONS', headers)) {
      answer(call, NO_CONTENT, preflightHeaders(cors, headers));
      return true;
    }
  }
  if (redirect === null) return false;
  answer(call, redirect.status, redirectHeaders(call, cors, redirect));
  return true;
}

function redirectHeaders({ block, plan }: RunningCall, cors: CorsRecord | null, redirect: RedirectRecord): string[] {
  const { scheme, authority } = block.template;
  const place = { scheme, authority: authority || (block.value('host') ?? ''), path: block.path };
  let headers = ['location', locationOf(redirect, place, plan!.port.service.port)];
  if (redirect.responseEdits !== null) headers = applyEdits(headers, redirect.responseEdits);
  return cors === null ? headers : applyEdits(headers, corsEdits(cors, headerValue(block.list(), 'origin')));
}

function answer(call: RunningCall, status: number, headers: readonly string[]): void {
  const { block, down, variant } = call;
  call.series = seriesOf(call.plan!, variant, false, call.deps.stats);
  call.series.inFlight++;
  call.httpStatus = status;
  finish(call, block.template.grpc ? grpcStatusOfHttp(status) : 0, false);
  const fields: Field[] = [];
  for (let i = 0; i < headers.length; i += 2) fields.push(makeField(headers[i], headers[i + 1], false, 0));
  down.sendHeaders(sourceOf(status), fields, true);
  dropRest(down);
}

function sourceOf(status: number): HeaderSource {
  let source = sources.get(status);
  if (source === undefined) sources.set(status, (source = newHeaderSource([':status', `${status}`], null)));
  return source;
}
