// When the other end of a connection to an endpoint is asked for a sign of life (L10), and how long it may take.
import type { MessageConnection } from '../http/connection.ts';

/** Another sidecar: after so much silence, and so long may its answer take, in ms. */
export const MESH_PING_AFTER_MS = 10_000;
export const MESH_PING_TIMEOUT_MS = 3_000;
/**
 * An application, only while it has calls: after so much silence. Its answer may take as long as gRPC's own keepalive
 * gives it, because one thread may serve its calls and its connections.
 */
export const PLAIN_PING_AFTER_MS = 10_000;
export const PLAIN_PING_TIMEOUT_MS = 20_000;
/**
 * As long as an application says nothing but that it lives, the next ping waits so long: gRPC servers end a connection
 * for a third ping within five minutes without a message of theirs between (gRFC A8, "too_many_pings").
 */
export const PLAIN_PING_AGAIN_MS = 305_000;
/** An application that ended a connection for its pings gets them at twice the time, again and again up to this many. */
const MOST_PATIENCE = 64;
/** After a pause of our own so long between two ticks, in ms, no answer is late yet: it may lie unread. */
const OWN_PAUSE_MS = 5_000;
/** A GOAWAY with that code, as onClosed() reports it. */
const TOLD = 'goaway: ENHANCE_YOUR_CALM';

/** The pings of all connections to one endpoint. */
export class Pings {
  private readonly mesh: boolean;
  private patience = 1;
  private tickedAtMs = 0;

  /** @param mesh another sidecar is at the other end */
  constructor(mesh: boolean) {
    this.mesh = mesh;
  }

  /** To be called once per tick. @returns how long the answers to pings may take */
  timeoutMs(nowMs: number): number {
    const pausedMs = nowMs - this.tickedAtMs;
    this.tickedAtMs = nowMs;
    if (pausedMs > OWN_PAUSE_MS) return Number.POSITIVE_INFINITY;
    return this.mesh ? MESH_PING_TIMEOUT_MS : PLAIN_PING_TIMEOUT_MS;
  }

  /** Pings the connection if it is time. */
  tick(connection: MessageConnection, nowMs: number): void {
    if (!this.mesh && connection.openStreams === 0) return;
    if (connection.idleMs(nowMs) > this.afterMs(connection)) connection.ping(nowMs);
  }

  /** A connection ended. @param reason as onClosed() has it */
  closed(reason: string): void {
    if (!this.mesh && reason === TOLD) this.patience = Math.min(MOST_PATIENCE, this.patience * 2);
  }

  private afterMs(connection: MessageConnection): number {
    if (this.mesh) return MESH_PING_AFTER_MS;
    return (connection.heardOnlyPong ? PLAIN_PING_AGAIN_MS : PLAIN_PING_AFTER_MS) * this.patience;
  }
}
