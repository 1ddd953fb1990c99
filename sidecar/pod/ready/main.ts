// Ends when the sidecar beside it is ready: the kubelet runs it after the start and goes on to the pod's other
// containers when it has ended. Not for ever: as long as it runs the kubelet does nothing else for this pod, not even
// delete it. Then the pod goes on, not Ready, its traffic refused.
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';

const { get } = process.getBuiltinModule('node:http');

const WAIT_MS = 30_000;
/** The admin port is not open yet. */
const TRY_AGAIN_MS = 10;

let why = '';

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
  why = missing;
  setTimeout(ask, TRY_AGAIN_MS);
}

// Also when an answer never comes.
setTimeout(() => {
  process.stderr.write(`the sidecar is not ready: ${why || 'it does not answer'}\n`);
  process.exit(0);
}, WAIT_MS);
ask();
