// Counts and reports connections that are passed as TCP.
import { portLabel } from '../../route/labels.ts';
import type { TcpObserver } from '../../tcp/observer.ts';
import type { SidecarMetrics } from '../counters/metrics.ts';
import type { TelemetryInForce } from './telemetry-in-force.ts';

/** @param now monotonic ms */
export function newTcpObserver(metrics: SidecarMetrics, telemetry: TelemetryInForce, now: () => number): TcpObserver {
  return {
    opened: (connection) => {
      const counted = metrics.tcp.opened(connection.origin.direction, portLabel(connection.service));
      const startMs = now();
      return (sent, received) => {
        counted(sent, received);
        telemetry.connectionEnded({ ...connection, startMs, endMs: now(), sent, received, error: '', reason: '' });
      };
    },
    failed: (connection, error, reason) => {
      const atMs = now();
      telemetry.connectionEnded({ ...connection, startMs: atMs, endMs: atMs, sent: 0, received: 0, error, reason });
    },
  };
}
