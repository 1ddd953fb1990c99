// Whether the capture rules of this pod are in force: a connection to a port of our own without a listener must arrive
// at our inbound side.
import type net from 'node:net';
import { CAPTURE_TABLE } from '#core/contract/capture-rules.ts';
import { NODE_AGENT_NAME, SIDECAR_CHECK_PORT, SYSTEM_NAMESPACE } from '#core/contract/names.ts';

/** What the inbound side writes, before it closes, to a connection that was going to SIDECAR_CHECK_PORT. */
export const CAPTURE_ANSWER = 'weft\n';
/** Everything happens within this pod. */
const ANSWER_TIMEOUT_MS = 1000;
/** A longer answer is not ours. */
const LONGEST_ANSWER = 64;

const WAITS = `it waits for the node agent (DaemonSet ${NODE_AGENT_NAME} in ${SYSTEM_NAMESPACE}) of its node, which has not loaded nftables' table ${CAPTURE_TABLE}`;

export interface CaptureCheck {
  /** One of the pod's own addresses; its family decides which rules are checked. */
  readonly podAddress: string;
  /** Where the connection must arrive, for the message. */
  readonly inboundPort: number;
  /** Whether the node agent loads the rules, which may come late; else this container has. */
  readonly byAgent: boolean;
  /** node:net's connect. */
  readonly connect: (to: { host: string; port: number; localAddress: string }) => net.Socket;
  /** Default: a second. */
  readonly timeoutMs?: number;
}

/**
 * Connects as the sidecar does to its own pod: from loopback, which the rules bring to the inbound side. The caller
 * repeats it until it is ''.
 * @returns '' when it arrived there, else what is wrong and where to look. Never rejects.
 */
export function checkCapture({ podAddress, inboundPort, byAgent, connect, timeoutMs = ANSWER_TIMEOUT_MS }: CaptureCheck): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const settle = (wrong: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(
        wrong === ''
          ? ''
          : `traffic is not captured: a connection to this pod's ${bracketed(podAddress)}:${SIDECAR_CHECK_PORT} did not reach port ${inboundPort} (${wrong}); ` +
              (byAgent ? WAITS : `nftables' table ${CAPTURE_TABLE}, which this container loads before the sidecar starts, is not in force`),
      );
    };
    const timer = setTimeout(() => settle(`no answer within ${timeoutMs} ms`), timeoutMs);
    const socket = connect({
      host: podAddress,
      port: SIDECAR_CHECK_PORT,
      localAddress: podAddress.includes(':') ? '::1' : '127.0.0.1',
    });
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (answer === CAPTURE_ANSWER) settle('');
      else if (answer.length > LONGEST_ANSWER || !CAPTURE_ANSWER.startsWith(answer)) settle('somebody else answered');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    socket.on('close', () => settle('closed without an answer'));
  });
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
