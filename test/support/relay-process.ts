// A listener that relays each connection to a port of this machine, as a process of its own: what it does when it runs
// out of descriptors.

import { newClock } from '#sidecar/http/clock.ts';
import { dial } from '#sidecar/link/dial.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { relay } from '#sidecar/tcp/relay.ts';

const target = { address: '127.0.0.1', port: Number(process.argv[2]), identity: '' };
const clock = newClock(() => performance.now());
const listener = new Listener(
  { address: '127.0.0.1', port: 0 },
  {
    onAccept: (_stream, ready) => ready(),
    assumed: () => 'tcp',
    onProtocol: (stream, _protocol, first) => {
      stream.pause();
      dial(target, '', { tlsClientContext: () => null, trustDomain: () => '' }, clock, Date.now, {
        onOpen: (other) => {
          relay(stream, other, first, () => {});
          other.start();
          stream.resume();
        },
        onError: () => stream.destroy(),
      });
    },
  },
  clock,
);
await listener.listen();
process.stdout.write(`${listener.port}\n`);
