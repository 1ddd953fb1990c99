// Asks a pod's port over HTTP, through the API server.
import { get } from 'node:http';

/** Opens a local port that leads to a pod's port. */
export type OpenPort = (namespace: string, pod: string, port: number) => Promise<OpenedPort>;

export interface OpenedPort {
  /** Of 127.0.0.1. */
  readonly localPort: number;
  /** Why the last connection failed; '': none has. */
  lastError(): string;
  close(): void;
}

/** More than the report of a mesh with 20,000 sidecars. */
const LONGEST_BODY = 64 * 1024 * 1024;

export interface Answered {
  readonly status: number;
  readonly body: string;
}

/**
 * GET of a path at a pod's port.
 * @throws Error that says why there is no answer: refused by the API server, not within `timeoutMs`, …
 */
export async function askPod(
  open: OpenPort,
  pod: { namespace: string; name: string; port: number },
  path: string,
  timeoutMs: number,
): Promise<Answered> {
  const way = await open(pod.namespace, pod.name, pod.port);
  try {
    return await answerOf(way.localPort, path, timeoutMs);
  } catch (error) {
    throw new Error(way.lastError() || (error as Error).message);
  } finally {
    way.close();
  }
}

function answerOf(port: number, path: string, timeoutMs: number): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, headers: { connection: 'close' } }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if ((length += chunk.length) > LONGEST_BODY) request.destroy(new Error(`the answer is longer than ${LONGEST_BODY} octets`));
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    // The whole exchange, not only a silent socket. Not unref'd: it is what ends the process's wait.
    const deadline = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    request.on('error', reject);
    request.on('close', () => clearTimeout(deadline));
  });
}
