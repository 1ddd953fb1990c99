// Ends when the sidecar beside it is ready: the kubelet runs it after the start and goes on to the pod's other containers when it has ended.
import { SIDECAR_ADMIN_PORT } from '#core/names.ts';

const { get } = process.getBuiltinModule('node:http');

/** Then the container counts as failed and is started anew; what was missing stands in its log. */
const WAIT_MS = 10 * 60_000;
/** The admin port is not open yet. */
const TRY_AGAIN_MS = 10;

const deadlineMs = performance.now() + WAIT_MS;

function ask(): void {
  const request = get({ host: '127.0.0.1', port: SIDECAR_ADMIN_PORT, path: '/readyz?wait' }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (text: string) => (body += text));
    response.on('end', () => {
      if (response.statusCode === 200) process.exit(0);
      again(body.trim());
    });
  });
  request.on('error', (error) => again(error.message));
}

function again(missing: string): void {
  if (performance.now() > deadlineMs) {
    process.stderr.write(`the sidecar is not ready: ${missing}\n`);
    process.exit(1);
  }
  setTimeout(ask, TRY_AGAIN_MS);
}

ask();
