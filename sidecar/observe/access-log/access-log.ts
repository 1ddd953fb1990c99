// The access log: one JSON line for each call or connection that the rule asks for (docs/reference/access-log.md).
import { type AccessField, type AccessLogRule, type AccessValue, matchesAccessLog } from '#core/contract/access-filter.ts';
import { endpointKey } from '../../balance/endpoint-state.ts';
import type { CallObserver, EndedCall } from '../../forward/ended-call.ts';
import type { CallOrigin } from '../../forward/outcome.ts';
import type { ServicePortRef } from '../../route/records.ts';
import { IncomingContext } from '../tracing/context.ts';
import { putHex } from '../tracing/ids.ts';
import { codeOf, jsonText, type LineValue, members, milliseconds, type SharedFields, SharedText, serviceName } from './access-line.ts';

const NO_FLAGS: readonly string[] = [];

/** A TCP connection that ended or was refused. Times are monotonic ms. */
export interface EndedConnection {
  readonly origin: CallOrigin;
  /** null: it ended before its Service was known. */
  readonly service: ServicePortRef | null;
  /** Where it went; null: nowhere. */
  readonly endpoint: { readonly address: string; readonly port: number; readonly identity: string; readonly pod?: string } | null;
  readonly startMs: number;
  readonly endMs: number;
  /** Octets from the client, and to it. */
  readonly sent: number;
  readonly received: number;
  /** A flag of the log (label of the proxy's error, `deniedFlag`); '': it was served. */
  readonly error: string;
  /** The same for people, short; '': nothing more to say. */
  readonly reason: string;
}

export class AccessLog implements CallObserver {
  private readonly write: (line: string) => unknown;
  private readonly wallClock: () => number;
  private readonly shared = new SharedText();
  private readonly context = new IncomingContext();
  private readonly traceDigits = Buffer.alloc(32);
  private rule: AccessLogRule | null = null;
  /** The call that is being logged, and what was found out about it so far. */
  private call: EndedCall | null = null;
  private common: { fields: SharedFields; text: string } | null = null;
  private callFlags: readonly string[] | null = null;
  private traceId: string | null = null;
  private isSampled = false;
  private readonly read = (field: AccessField): AccessValue => this.valueOfCall(field);

  /** @param write takes a line without its end @param wallClock Unix ms */
  constructor(write: (line: string) => unknown, wallClock: () => number) {
    this.write = write;
    this.wallClock = wallClock;
  }

  /** What is written from now on. @param rule null: nothing */
  set(rule: AccessLogRule | null): void {
    this.rule = rule;
  }

  /** Whether anything may be written. */
  get on(): boolean {
    return this.rule !== null;
  }

  ended(call: EndedCall): void {
    const { rule } = this;
    if (rule === null) return;
    this.call = call;
    if (matchesAccessLog(rule, this.read)) this.write(this.line(call));
    this.call = null;
    this.common = null;
    this.callFlags = null;
    this.traceId = null;
  }

  /** A connection whose octets were passed on as TCP has ended, or a client's was refused before it carried a call. */
  connectionEnded(connection: EndedConnection): void {
    const { rule } = this;
    if (rule === null) return;
    const { origin, error } = connection;
    const fields = connectionFields(connection);
    const read = (field: AccessField): AccessValue => {
      if (field === 'failed') return error === '' ? 'false' : 'true';
      if (field === 'direction') return origin.direction;
      const value = field === 'caller' ? origin.caller() : fields[field];
      return typeof value === 'boolean' ? `${value}` : value === '' ? undefined : value;
    };
    if (matchesAccessLog(rule, read)) this.write(`${this.shared.ofOrigin(origin, this.wallClock())}${members(fields)}}`);
  }

  private line(call: EndedCall): string {
    const { lastEndpoint, attempts, requestBytes, responseBytes, endMs, startMs, grpcStatus } = call;
    const http = httpStatusOf(call);
    const mtls = mtlsOf(call);
    const trace = this.trace(call);
    const flags = this.flags(call);
    const { reason } = call;
    return `${this.shared.ofOrigin(call.origin, this.wallClock())}${this.ofCall(call).text}${
      lastEndpoint === null ? '' : this.shared.ofEndpoint(lastEndpoint)
    }${mtls === undefined ? '' : mtls ? ',"mtls":true' : ',"mtls":false'}${http === 0 ? '' : `,"http_status":${http}`},"grpc_status":${grpcStatus},"code":"${codeOf(grpcStatus)}","duration_ms":${milliseconds(
      endMs - startMs,
    )},"request_bytes":${requestBytes},"response_bytes":${responseBytes},"attempts":${attempts},"flags":${
      flags.length === 0 ? '[]' : `["${flags.join('","')}"]`
    }${reason === '' ? '' : `,"reason":${jsonText(reason)}`}${trace === '' ? '' : `,"trace_id":"${trace}","sampled":${this.isSampled}`}}`;
  }

  private ofCall(call: EndedCall): { fields: SharedFields; text: string } {
    return (this.common ??= this.shared.ofCall(call));
  }

  private flags({ error, attempts, cancelled }: EndedCall): readonly string[] {
    if (this.callFlags !== null) return this.callFlags;
    if (error === null && attempts < 2 && !cancelled) return (this.callFlags = NO_FLAGS);
    const flags: string[] = [];
    if (error !== null) flags.push(error.label);
    if (attempts > 1) flags.push('retried');
    if (cancelled) flags.push('client_cancelled');
    return (this.callFlags = flags);
  }

  /** The identifier of the call's trace and, in `isSampled`, whether it is recorded; '': it has none. */
  private trace({ trace, block }: EndedCall): string {
    if (this.traceId !== null) return this.traceId;
    this.isSampled = false;
    if (trace !== null && trace.traceId !== '') {
      this.isSampled = trace.recorded;
      return (this.traceId = trace.traceId);
    }
    const { context, traceDigits } = this;
    if (block.varying.length === 0) return (this.traceId = '');
    context.read(block);
    if (context.found === 'none') return (this.traceId = '');
    putHex(traceDigits, 0, context.t0);
    putHex(traceDigits, 8, context.t1);
    putHex(traceDigits, 16, context.t2);
    putHex(traceDigits, 24, context.t3);
    this.isSampled = context.sampled === true;
    return (this.traceId = traceDigits.latin1Slice(0, 32));
  }

  private valueOfCall(field: AccessField): AccessValue {
    const call = this.call!;
    switch (field) {
      case 'failed':
        return failed(call) ? 'true' : 'false';
      case 'duration_ms':
        return milliseconds(call.endMs - call.startMs);
      case 'http_status':
        return httpStatusOf(call) || undefined;
      case 'grpc_status':
        return call.grpcStatus;
      case 'request_bytes':
        return call.requestBytes;
      case 'response_bytes':
        return call.responseBytes;
      case 'attempts':
        return call.attempts;
      case 'flags':
        return this.flags(call);
      case 'direction':
        return call.origin.direction;
      case 'caller':
        return call.origin.caller() || undefined;
      case 'mtls':
        return mtlsOf(call)?.toString();
      case 'trace_id':
        return this.trace(call) || undefined;
      case 'sampled':
        return this.trace(call) === '' ? undefined : `${this.isSampled}`;
      case 'endpoint':
        return call.lastEndpoint?.key;
      case 'pod':
        return call.lastEndpoint?.pod || undefined;
      case 'peer_identity':
        return call.lastEndpoint?.identity || undefined;
      default:
        return this.ofCall(call).fields[field] || undefined;
    }
  }
}

/**
 * The flag of a connection that the inbound side refused.
 * @param reason as counted: "plaintext", or what was wrong with the TLS handshake
 */
export function deniedFlag(reason: string): 'denied_plaintext' | 'denied_tls' {
  return reason === 'plaintext' ? 'denied_plaintext' : 'denied_tls';
}

/**
 * What the log calls an error: of gRPC any status but OK, of other protocols 500 and above; also what the proxy ended,
 * and a client that gave up.
 */
function failed({ error, cancelled, block, grpcStatus, httpStatus }: EndedCall): boolean {
  return error !== null || cancelled || (block.template.grpc ? grpcStatus !== 0 : httpStatus >= 500);
}

/** What the client got; 0: nothing. */
function httpStatusOf({ httpStatus, error, block }: EndedCall): number {
  if (httpStatus !== 0 || error === null) return httpStatus;
  return block.template.format === 'other' ? error.http : 0;
}

/** undefined: it reached no endpoint. */
function mtlsOf({ origin, lastEndpoint }: EndedCall): boolean | undefined {
  if (origin.mtls !== null) return origin.mtls;
  return lastEndpoint === null ? undefined : lastEndpoint.identity !== '';
}

function connectionFields(connection: EndedConnection): Partial<Record<AccessField | 'reason', LineValue>> {
  const { origin, service, endpoint, startMs, endMs, sent, received, error, reason } = connection;
  return {
    service: service === null ? undefined : serviceName(service),
    protocol: 'tcp',
    pod: endpoint?.pod,
    endpoint: endpoint === null ? undefined : endpointKey(endpoint),
    peer_identity: endpoint?.identity,
    mtls: origin.mtls ?? (endpoint === null ? undefined : endpoint.identity !== ''),
    duration_ms: milliseconds(endMs - startMs),
    request_bytes: sent,
    response_bytes: received,
    flags: error === '' ? NO_FLAGS : [error],
    reason,
  };
}
