// Turns what a request ended with, an answer that is no success or no answer at all, into an error that says what to
// look at.
import type { IncomingHttpHeaders } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { KubeError } from './api.ts';
import { isRecord } from './json-lines.ts';

/** Of a body that is no metav1.Status, in the message. */
const SHOWN = 200;

const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there; is the API server up, and is the address right?',
  ECONNRESET: 'the connection was lost',
  EPIPE: 'the connection was lost',
  ENOTFOUND: 'the name of the server does not resolve',
  EAI_AGAIN: 'the name of the server does not resolve at the moment',
  EHOSTUNREACH: 'the server cannot be reached from here',
  ENETUNREACH: 'the server cannot be reached from here',
  ETIMEDOUT: 'the server does not answer',
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for other names",
};
const UNTRUSTED = /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE)/;

/** The error of an answer that is not 2xx: of its metav1.Status where the body is one. */
export function refusedAnswer(what: string, status: number, headers: IncomingHttpHeaders, body: string): KubeError {
  const read = readStatus(body);
  const words = read.message ?? (body.trim() === '' ? (STATUS_CODES[status] ?? 'no reason given') : body.trim().slice(0, SHOWN));
  const hint = status === 401 ? ' (the credentials were not accepted)' : '';
  const reason = read.reason ?? (STATUS_CODES[status] ?? '').replaceAll(' ', '');
  return new KubeError(`${what}: ${status} ${words}${hint}`, status, reason, retryAfterMs(headers) ?? read.retryAfterMs);
}

/** The error of a metav1.Status that came inside a watch. */
export function statusError(what: string, object: Record<string, unknown>): KubeError {
  const read = fieldsOf(object);
  const code = typeof object.code === 'number' ? object.code : 500;
  return new KubeError(`${what}: ${code} ${read.message ?? 'no reason given'}`, code, read.reason ?? 'InternalError', read.retryAfterMs);
}

/** The error of a request that got no answer. @param stopped the caller's own signal */
export function noAnswer(what: string, error: unknown, stopped?: AbortSignal): KubeError {
  if (stopped?.aborted) return new KubeError(`${what}: given up by the caller`, 0, 'Aborted');
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? 'Failed';
  const words = error instanceof Error ? error.message || innerMessage(error) : String(error);
  const hint = HINTS[code] ?? (UNTRUSTED.test(code) ? "the server's certificate is not signed by the configured authority" : undefined);
  return new KubeError(`${what}: ${hint === undefined ? words : `${hint} (${words})`}`, 0, code);
}

// Several addresses of one name were tried: node puts the reasons inside.
function innerMessage(error: Error): string {
  return error instanceof AggregateError ? error.errors.map((inner: Error) => inner.message).join('; ') : error.name;
}

function readStatus(body: string): ReturnType<typeof fieldsOf> {
  try {
    const status: unknown = JSON.parse(body);
    return isRecord(status) && status.kind === 'Status' ? fieldsOf(status) : {};
  } catch {
    return {};
  }
}

function fieldsOf(status: Record<string, unknown>): { message?: string; reason?: string; retryAfterMs?: number } {
  const seconds = isRecord(status.details) ? status.details.retryAfterSeconds : undefined;
  return {
    ...(typeof status.message === 'string' && status.message !== '' ? { message: status.message } : {}),
    ...(typeof status.reason === 'string' && status.reason !== '' ? { reason: status.reason } : {}),
    ...(typeof seconds === 'number' && seconds > 0 ? { retryAfterMs: seconds * 1000 } : {}),
  };
}

// RFC 9110 §10.2.3; the API server writes seconds, a proxy before it may write a date.
function retryAfterMs(headers: IncomingHttpHeaders): number | undefined {
  const value = headers['retry-after'];
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}
