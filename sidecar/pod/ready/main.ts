// Ends when the sidecar beside it is ready, so that the kubelet starts the pod's other containers then. As a postStart
// command it gives up after a while, with success: as long as that runs the kubelet does nothing else for this pod, not
// even delete it. Then the pod goes on, not Ready, its traffic refused. As a startup probe (argument --startup), under
// the node agent, it fails sooner and the kubelet asks again, for as long as it takes: what it prints is in the Event.
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';

const { get } = process.getBuiltinModule('node:http');

const WAIT_MS = 30_000;
/** Less than the probe's timeoutSeconds (injector/containers.ts). */
const STARTUP_WAIT_MS = 8_000;
/** The admin port is not open yet. */
const TRY_AGAIN_MS = 10;

const isStartup = process.argv[2] === '--startup';
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
setTimeout(
  () => {
    process.stderr.write(`the sidecar is not ready: ${why || 'it does not answer'}\n`);
    process.exit(isStartup ? 1 : 0);
  },
  isStartup ? STARTUP_WAIT_MS : WAIT_MS,
);
ask();
