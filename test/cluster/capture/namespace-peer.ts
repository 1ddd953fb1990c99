// Runs inside a network namespace of the capture test. `listen PORTS`: answers each connection with where it arrived
// and where it was going.
// `connect UID JSON`: makes connections as that user, one after the other, and prints what each was answered.
// `check UID ADDRESS`: asks as that user whether the pod is captured, and prints the answer.
import net from 'node:net';
import { SIDECAR_CHECK_PORT, SIDECAR_INBOUND_PORT } from '#core/contract/names.ts';
import { originalDestination, originalDestinationProblem } from '#sidecar/link/original-dst.ts';
import { CAPTURE_ANSWER, checkCapture } from '#sidecar/pod/capture/check.ts';

/** What a listener saw of one connection. */
export interface Arrival {
  /** The listening port. */
  at: number;
  /** "address:port", or null. */
  original: string | null;
  from: string;
}

export interface Attempt {
  host: string;
  port: number;
  /** Local address to bind. */
  source?: string;
}

const CONNECT_TIMEOUT_MS = 2000;

function listen(ports: number[]): void {
  const problem = originalDestinationProblem();
  if (problem !== '') throw new Error(problem);
  let left = ports.length;
  for (const port of ports) {
    const server = net.createServer((socket) => {
      const original = originalDestination(socket);
      const arrival: Arrival = {
        at: port,
        original: original === null ? null : `${original.address}|${original.port}`,
        from: socket.remoteAddress ?? '',
      };
      socket.on('error', () => {});
      socket.end(port === SIDECAR_INBOUND_PORT && original?.port === SIDECAR_CHECK_PORT ? CAPTURE_ANSWER : JSON.stringify(arrival));
    });
    server.listen(port, '::', () => {
      if (--left === 0) process.stdout.write('listening\n');
    });
  }
}

/** @returns the arrival, or the error's code */
function attempt({ host, port, source }: Attempt): Promise<Arrival | string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect({ host, port, localAddress: source });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
    socket.on('data', (chunk) => (text += chunk));
    socket.on('end', () => resolve(JSON.parse(text) as Arrival));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

function become(uid: number): void {
  process.setgid!(uid);
  process.setuid!(uid);
}

const [mode, first = '', second = ''] = process.argv.slice(2);
if (mode === 'listen') listen(first.split(',').map(Number));
if (mode === 'connect') {
  become(Number(first));
  const answers: (Arrival | string)[] = [];
  for (const wanted of JSON.parse(second) as Attempt[]) answers.push(await attempt(wanted));
  process.stdout.write(`${JSON.stringify(answers)}\n`);
}
if (mode === 'check') {
  become(Number(first));
  const problem = await checkCapture({
    podAddress: second,
    inboundPort: SIDECAR_INBOUND_PORT,
    byAgent: false,
    connect: (to) => net.connect(to),
  });
  process.stdout.write(`${JSON.stringify(problem)}\n`);
}
