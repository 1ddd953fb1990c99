// Counts and reports connections that are passed as TCP.
import { portLabel } from '../../route/labels.ts';
import type { TcpObserver } from '../../tcp/observer.ts';
import type { SidecarMetrics } from '../counters/metrics.ts';
import type { CallReports } from './reports.ts';

/** @param now monotonic ms */
export function newTcpObserver(metrics: SidecarMetrics, reports: CallReports, now: () => number): TcpObserver {
  return {
    opened: (connection) => {
      const counted = metrics.tcp.opened(connection.origin.direction, portLabel(connection.service));
      const startMs = now();
      return (sent, received) => {
        counted(sent, received);
        reports.connectionEnded({ ...connection, startMs, endMs: now(), sent, received, error: '', reason: '' });
      };
    },
    failed: (connection, error, reason) => {
      const atMs = now();
      reports.connectionEnded({ ...connection, startMs: atMs, endMs: atMs, sent: 0, received: 0, error, reason });
    },
  };
}
