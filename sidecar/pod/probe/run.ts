// Asks the application what the kubelet's probe or hook would have asked it, and judges the answer as the kubelet does
// (kubernetes pkg/probe/{http,tcp,grpc}, pkg/kubelet/lifecycle).
import net from 'node:net';
import type { HttpProbe, ProbeTarget } from '#core/contract/probes.ts';
import type { Timers } from '#core/program/timers.ts';
import { type GrpcError, STATUS } from '../../link/grpc-stream.ts';
import { callPlaintext } from './grpc-call.ts';
import { decodeHealthStatus, encodeHealthRequest, HEALTH_CHECK_PATH } from './health.ts';
import { askHttp, type HttpAnswer } from './http-call.ts';

/** As many as Go's client follows, which the kubelet uses. */
const MAX_REDIRECTS = 10;
/** So many characters of an answer's body are passed on for people. */
const LONGEST_DETAIL = 512;
const DEFAULT_USER_AGENT = 'kube-probe/1';

export interface ProbeOutcome {
  readonly ok: boolean;
  /** For people: what was answered, or why there was no answer. */
  readonly detail: string;
  /** The application's HTTP status; 0: none. */
  readonly status: number;
}

/**
 * Runs one probe.
 * @param podAddress where the application listens: as with the kubelet, the pod's primary address, not loopback
 * @param userAgent the kubelet's own, passed on
 * @returns the outcome, within the target's timeout; never rejects
 */
export async function runProbe(
  target: ProbeTarget,
  podAddress: string,
  timers: Timers,
  userAgent: string = DEFAULT_USER_AGENT,
): Promise<ProbeOutcome> {
  try {
    if (target.http !== undefined)
      return await httpProbe(target.http, target.token !== undefined, podAddress, target.timeoutMs, timers, userAgent);
    if (target.grpc !== undefined) return await grpcProbe(target.grpc, podAddress, target.timeoutMs, timers, userAgent);
    if (target.tcp !== undefined) return await tcpProbe(target.tcp.port, podAddress, target.timeoutMs, timers);
    return failed('the probe asks for nothing');
  } catch (error) {
    return failed((error as Error).message);
  }
}

function failed(detail: string, status = 0): ProbeOutcome {
  return { ok: false, detail, status };
}

function tcpProbe(port: number, host: string, timeoutMs: number, timers: Timers): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const settle = (outcome: ProbeOutcome): void => {
      stopTimer();
      socket.destroy();
      resolve(outcome);
    };
    const stopTimer = timers.after(timeoutMs, () => settle(failed(`tcp ${host}:${port}: no connection within ${timeoutMs} ms`)));
    const socket = net.connect({ host, port });
    socket.on('connect', () => settle({ ok: true, detail: `tcp ${host}:${port}: connected`, status: 0 }));
    socket.on('error', (error: NodeJS.ErrnoException) => settle(failed(`tcp ${host}:${port}: ${error.code ?? error.message}`)));
  });
}

async function grpcProbe(
  { port, service }: { port: number; service: string },
  host: string,
  timeoutMs: number,
  timers: Timers,
  userAgent: string,
): Promise<ProbeOutcome> {
  const what = `grpc ${host}:${port}${service === '' ? '' : ` service ${JSON.stringify(service)}`}`;
  const request = encodeHealthRequest(service);
  try {
    const status = decodeHealthStatus(await callPlaintext({ host, port, path: HEALTH_CHECK_PATH, request, userAgent, timeoutMs, timers }));
    return { ok: status === 'SERVING', detail: `${what}: ${status}`, status: 0 };
  } catch (error) {
    const { code, message } = error as GrpcError;
    return failed(`${what}: ${code === STATUS.unimplemented ? 'it does not implement grpc.health.v1.Health' : message}`);
  }
}

/** @param isHook any answer will do, and a server that speaks no TLS is asked without */
async function httpProbe(
  probe: HttpProbe,
  isHook: boolean,
  podAddress: string,
  timeoutMs: number,
  timers: Timers,
  userAgent: string,
): Promise<ProbeOutcome> {
  const host = probe.host ?? podAddress;
  let url = new URL(`${probe.scheme.toLowerCase()}://${host.includes(':') ? `[${host}]` : host}:${probe.port}${probe.path}`);
  const first = url;
  let hostHeader = probe.headers?.find(({ name }) => name.toLowerCase() === 'host')?.value ?? '';
  let headers = probe.headers ?? [];
  let cancel: (why: string) => void = () => {};
  let late = false;
  const stopTimer = timers.after(timeoutMs, () => {
    late = true;
    cancel(`no answer within ${timeoutMs} ms`);
  });
  try {
    for (let redirects = 0; ; redirects++) {
      if (late) return failed(`${url}: no answer within ${timeoutMs} ms`);
      let answer: HttpAnswer;
      try {
        answer = await askHttp(
          url,
          headersOf(headers, hostHeader || hostOf(url, probe, url === first), userAgent),
          (how) => (cancel = how),
        );
      } catch (error) {
        if (isHook && url === first && url.protocol === 'https:' && isPlaintext(error as NodeJS.ErrnoException)) {
          // Where the server speaks HTTP, the kubelet takes it, without what might be a secret.
          url = new URL(url);
          url.protocol = 'http:';
          if (url.port === '') url.port = '443';
          headers = headers.filter(({ name }) => name.toLowerCase() !== 'authorization');
          continue;
        }
        return failed(`${url}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`);
      }
      const { status, body, location } = answer;
      const next = location === '' ? null : URL.parse(location, url.href);
      // A redirect to another host is an answer, and a good one: the kubelet does not follow it.
      if (next === null || next.hostname !== first.hostname || !/^https?:$/.test(next.protocol)) {
        const detail = `${url}: HTTP ${status}${body === '' ? '' : `: ${body.slice(0, LONGEST_DETAIL)}`}`;
        return { ok: isHook || (status >= 200 && status < 400), detail, status };
      }
      if (redirects === MAX_REDIRECTS) return failed(`${url}: stopped after ${MAX_REDIRECTS} redirects`);
      // Go keeps a Host of one's own as long as the Location names no other.
      if (/^[a-z][a-z0-9+.-]*:|^\/\//i.test(location)) hostHeader = '';
      url = next;
    }
  } finally {
    stopTimer();
  }
}

/** What a TLS handshake ends with when the answer is no TLS. */
function isPlaintext({ code = '' }: NodeJS.ErrnoException): boolean {
  return code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG';
}

/** The kubelet names the port also where it is the scheme's own, but not after a redirect that leaves it out. */
function hostOf(url: URL, probe: HttpProbe, first: boolean): string {
  return first ? `${url.hostname}:${probe.port}` : url.host;
}

/**
 * Names and values in turn, as node:http takes them raw: the kubelet's own unless the probe sets them; an empty value
 * leaves them out.
 */
function headersOf(headers: NonNullable<HttpProbe['headers']>, host: string, userAgent: string): string[] {
  const list = ['Host', host];
  const own = headers.filter(({ name }) => name.toLowerCase() !== 'host');
  const add = (name: string, value: string): void => {
    const set = own.filter((header) => header.name.toLowerCase() === name.toLowerCase());
    if (set.length === 0) list.push(name, value);
  };
  add('User-Agent', userAgent);
  add('Accept', '*/*');
  for (const { name, value } of own) if (value !== '' || !/^(user-agent|accept)$/i.test(name)) list.push(name, value);
  list.push('Connection', 'close');
  return list;
}
