// Proof that a proxy hands on whole gRPC answers: h2load counts statuses but does not look at trailers, so a client of
// another make does, before and after each load.
import { execFileSync } from 'node:child_process';
import http2 from 'node:http2';
import path from 'node:path';

/** Calls of one proof. */
export const PROBES = 40;
const TIMEOUT_MS = 5000;
const PROGRAM = path.join(import.meta.dirname, 'probe.ts');

/**
 * Sends calls one after the other over one connection.
 * @returns how many were not answered with status 200, the body and the trailer grpc-status 0
 */
export async function probe(host: string, port: number, url: string, body: Buffer): Promise<number> {
  const session = http2.connect(`http://${host}:${port}`);
  session.on('error', () => {});
  let wrong = 0;
  try {
    for (let i = 0; i < PROBES; i++) if (!(await isWhole(session, url, body))) wrong++;
  } finally {
    session.destroy();
  }
  return wrong;
}

/**
 * Sends requests of HTTP/1.1 one after the other.
 * @returns how many were not answered with status 200 and a body
 */
export async function probeHttp1(host: string, port: number, path: string): Promise<number> {
  let wrong = 0;
  for (let i = 0; i < PROBES; i++) {
    try {
      const answer = await fetch(`http://${host}:${port}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.status !== 200 || (await answer.text()) === '') wrong++;
    } catch {
      wrong++;
    }
  }
  return wrong;
}

/** The same from a process that `behind` starts, for another network. @throws when that process fails */
export function probeBehind(behind: readonly string[], host: string, port: number, url: string, body: Buffer): number {
  const [command, ...args] = [...behind, process.execPath, PROGRAM, host, `${port}`, url, body.toString('base64')];
  return Number(execFileSync(command, args, { encoding: 'utf8', timeout: PROBES * TIMEOUT_MS }));
}

function isWhole(session: http2.ClientHttp2Session, url: string, body: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    if (session.destroyed) return resolve(false);
    const stream = session.request({ ':method': 'POST', ':path': url, 'content-type': 'application/grpc', te: 'trailers' });
    let status = 0;
    let octets = 0;
    let grpcStatus = '';
    stream.setTimeout(TIMEOUT_MS, () => stream.close());
    stream.on('response', (headers) => (status = headers[':status'] ?? 0));
    stream.on('data', (chunk: Buffer) => (octets += chunk.length));
    stream.on('trailers', (trailers) => (grpcStatus = String(trailers['grpc-status'])));
    stream.on('error', () => {});
    stream.on('close', () => resolve(status === 200 && octets > 0 && grpcStatus === '0'));
    stream.end(body);
  });
}

/**
 * HEADERS, DATA and trailing HEADERS frames of an answer, without header block and body; the trailer's block has at
 * least one octet.
 */
const WHOLE_ANSWER_OCTETS = 9 + 9 + 9 + 1;

/**
 * From h2load's sums of octets: an answer without trailers is at least one octet shorter, nearly always ten.
 * @returns at least so many answers lacked trailers; 0 if the octets suffice for all
 */
export function answersWithoutTrailers(answers: number, totalOctets: number, headerOctets: number, dataOctets: number): number {
  return Math.max(0, Math.ceil((answers * WHOLE_ANSWER_OCTETS - (totalOctets - headerOctets - dataOctets)) / 10));
}
