// The run's own part of the loopback network: 127.X.0.0/16 with an X that no other run on this machine has.
import { createServer } from 'node:net';
import { CONTROL_PLANE_GRPC_PORT } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import { controlPlaneAddress } from '../plan/addresses.ts';
import { type HeldPort, heldPorts, holderOf } from './held-ports.ts';

// 127.0 and 127.1 are what people and programs use by hand.
const FIRST_PREFIX = 77;
const PREFIXES = 32;

/** Why an address and port cannot be listened on: an errno name such as EADDRINUSE; null: it can. */
export function tryListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => resolve(null)));
  });
}

// What an earlier run may have left behind (its guard was killed too) takes its network out of use as well.
function inhabited(prefix: string): boolean {
  return heldPorts().some(({ address }) => address.startsWith(`${prefix}.`));
}

/**
 * Calls `claim` with one prefix ("127.77", "127.78", …) after another until one is free: the control plane's port on
 * 127.X.0.1 is the lock between runs.
 * @param claim listens there for good; rejects with code EADDRINUSE (or such words) when another run was faster
 * @throws Failure when none can be had, with the reason and what to do
 */
export async function claimPrefix<T>(
  claim: (prefix: string) => Promise<T>,
  listen: typeof tryListen = tryListen,
  isInhabited: (prefix: string) => boolean = inhabited,
): Promise<{ prefix: string; claimed: T }> {
  for (let i = 0; i < PREFIXES; i++) {
    const prefix = `127.${FIRST_PREFIX + i}`;
    const host = controlPlaneAddress(prefix);
    const refused = await listen(host, CONTROL_PLANE_GRPC_PORT);
    if (refused === 'EADDRNOTAVAIL') throw new Failure(missingAddressText(host));
    if (refused !== null && refused !== 'EADDRINUSE') throw new Failure(`cannot listen on ${host}:${CONTROL_PLANE_GRPC_PORT}: ${refused}`);
    if (refused !== null || isInhabited(prefix)) continue;
    try {
      return { prefix, claimed: await claim(prefix) };
    } catch (error) {
      if (!/EADDRINUSE|address (is|already) in use/i.test(`${(error as NodeJS.ErrnoException).code} ${(error as Error).message}`))
        throw error;
    }
  }
  const everywhere = heldPorts().find(
    ({ address, port }) => port === CONTROL_PLANE_GRPC_PORT && (address === '0.0.0.0' || address === '::'),
  );
  if (everywhere)
    throw new Failure(`port ${CONTROL_PLANE_GRPC_PORT} is taken on all addresses by ${holderText(everywhere)}: stop it first`);
  throw new Failure(`all ${PREFIXES} networks from 127.${FIRST_PREFIX} are in use: are that many \`weft run\` going?`);
}

/** Linux has all of 127.0.0.0/8; macOS has 127.0.0.1 alone until others are added. */
export function missingAddressText(address: string): string {
  const [, block] = address.split('.');
  return (
    `this machine has no address ${address}. Linux has all of 127.0.0.0/8; macOS has only 127.0.0.1, and the others last until the next restart:\n` +
    `  sudo sh -c 'for p in $(seq 0 20); do for a in $(seq 1 40); do ifconfig lo0 alias 127.${block}.$p.$a up; done; done'\n` +
    `makes room for 20 pods and 38 Services`
  );
}

/** "process 123 (nginx: master process)", as far as it can be known. */
export function holderText(listener: HeldPort): string {
  const holder = holderOf(listener);
  return holder ? `process ${holder.pid} (${holder.commandLine.slice(0, 120)})` : 'a process of another user';
}
