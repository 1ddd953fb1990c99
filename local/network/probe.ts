// Questions to a pod's sidecar over loopback: is it ready, what has it counted.
import { get } from 'node:http';

/** Answers are bounded: a sidecar with its 10,000 series stays well below. */
const LARGEST_ANSWER = 32 << 20;

/** GET over HTTP/1.1; undefined when there is no answer in time. Never throws. */
export function fetchText(
  host: string,
  port: number,
  path: string,
  timeoutMs = 1000,
): Promise<{ status: number; body: string } | undefined> {
  return new Promise((resolve) => {
    const request = get({ host, port, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > LARGEST_ANSWER) request.destroy();
      });
      response.on('end', () => finish({ status: response.statusCode ?? 0, body }));
      response.on('error', () => finish(undefined));
    });
    const timer = setTimeout(() => request.destroy(), timeoutMs);
    const finish = (result: { status: number; body: string } | undefined) => {
      clearTimeout(timer);
      resolve(result);
    };
    request.on('error', () => finish(undefined));
    request.on('close', () => finish(undefined));
  });
}
