// Questions to a pod's processes over loopback: does a port accept connections, does the sidecar say that it is ready,
// what has it counted.
import { get } from 'node:http';
import { connect } from 'node:net';

/** Does this address accept a TCP connection? Never throws. */
export function accepts(host: string, port: number, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => finish(false));
    socket.on('connect', () => finish(true));
    socket.on('error', () => finish(false));
  });
}

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
