// Where traces go in a benchmark: takes OTLP over HTTP, counts spans and drops them, so that spans that never came are
// visible.
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { countSpans } from './otlp.ts';
import { freePort, Program, sleep } from './processes.ts';

const PROGRAM = path.join(import.meta.dirname, 'sink-program.ts');
/** Proxies send what they have at least once a second; nothing new for this long means that all has come. */
const QUIET_MS = 1500;
const LOOK_MS = 250;
/** A proxy that still sends after this is not waited for. */
const LONGEST_WAIT_MS = 8000;

/** A collector has a machine of its own: here it must not wait for the load. */
const PRIORITY = -15;

export interface SinkCounts {
  readonly spans: number;
  /** Bodies of requests, in octets. */
  readonly octets: number;
  readonly requests: number;
  /** Requests that were no OTLP in protobuf. */
  readonly garbled: number;
}

export interface Sink {
  readonly port: number;
  counts(): Promise<SinkCounts>;
  /** The counts when no more spans come. */
  settled(): Promise<SinkCounts>;
  /** CPU time so far, in µs. */
  cpuUs(): number;
  stop(): Promise<void>;
}

/** The server: POST /v1/traces takes spans, GET / tells the counts as JSON. */
export function createSinkServer(): http.Server {
  let spans = 0;
  let octets = 0;
  let requests = 0;
  let garbled = 0;
  return http.createServer((request, response) => {
    if (request.method === 'GET') return void response.end(JSON.stringify({ spans, octets, requests, garbled }));
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const count = request.url === '/v1/traces' ? countSpans(body) : null;
      requests++;
      octets += body.length;
      if (count === null) garbled++;
      else spans += count;
      response.writeHead(count === null ? 400 : 200, { 'content-type': 'application/x-protobuf', 'content-length': 0 }).end();
    });
  });
}

/** Starts the server as a program of its own. @param core where it must not take time from the proxies */
export async function startSink(core: number): Promise<Sink> {
  const port = await freePort();
  const program = new Program('trace sink', core, [process.execPath, PROGRAM, `${port}`]);
  await program.listening(port);
  try {
    os.setPriority(program.child.pid!, PRIORITY);
  } catch {
    // Only root may. Without it the load delays the answers, and proxies drop more.
  }
  const counts = async (): Promise<SinkCounts> => (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as SinkCounts;
  return {
    port,
    counts,
    settled: async () => {
      const latest = Date.now() + LONGEST_WAIT_MS;
      let last = await counts();
      for (let quietSince = Date.now(); Date.now() - quietSince < QUIET_MS && Date.now() < latest; ) {
        await sleep(LOOK_MS);
        const now = await counts();
        if (now.requests !== last.requests) quietSince = Date.now();
        last = now;
      }
      return last;
    },
    cpuUs: () => program.cpuUs(),
    stop: () => program.stop(),
  };
}
