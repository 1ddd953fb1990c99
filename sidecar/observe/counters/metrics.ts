// All that a sidecar counts, and its families for the metrics page.
import { counter, counters, type Exposition, type Family, gauge } from '#core/program/exposition.ts';
import { processMetrics } from '#core/program/process-metrics.ts';
import type { AccessLines } from '../access-log/line-writer.ts';
import { LabelledCounter, ResetCounter, SetCounter } from './counters.ts';
import { writeRequests } from './request-page.ts';
import { RequestStats } from './request-stats.ts';
import { TcpStats } from './tcp-stats.ts';

/** What is read when somebody asks. */
export interface Gauges {
  readonly version: string;
  /** Unix ms; 0: there is no certificate. */
  readonly certificateNotAfterMs: number;
  readonly connectedToControlPlane: boolean;
  /** Configuration streams that were begun. */
  readonly connects: number;
  readonly resources: number;
  readonly rejectedResources: number;
  readonly rejections: number;
  /** Unix ms; 0: nothing has come yet. */
  readonly lastAppliedMs: number;
  readonly configAgeSeconds: number;
  readonly downstreamConnections: number;
  /** By backend, "ns/name:port". */
  readonly ejectedEndpoints: ReadonlyMap<string, number>;
  readonly accessLines: Pick<AccessLines, 'accessWritten' | 'accessDropped'>;
}

export class SidecarMetrics {
  readonly requests = new RequestStats();
  readonly proxyErrors = new LabelledCounter();
  readonly tlsRefusals = new LabelledCounter();
  readonly upstreamCloses = new LabelledCounter();
  readonly downstreamCloses = new LabelledCounter();
  readonly streamResets = new ResetCounter();
  /** By direction and outcome. */
  readonly detections = new SetCounter();
  /** By backend and reason. */
  readonly ejections = new SetCounter();
  readonly tcp = new TcpStats();
  upstreamConnections = 0;
  retries = 0;
  spansExported = 0;
  /** By reason: queue_full, too_large, export_failed, rejected. */
  readonly spansDropped = new LabelledCounter();
  /** Turns the monotonic ms of calls into Unix ms. */
  readonly unixMs: (monotonicMs: number) => number;

  constructor(unixMs: (monotonicMs: number) => number = (monotonicMs) => Date.now() - performance.now() + monotonicMs) {
    this.unixMs = unixMs;
  }

  /** Puts all families on the page. */
  write(out: Exposition, gauges: Gauges): void {
    writeRequests(out, this.requests, this.unixMs);
    out.add(this.ofCalls(gauges));
    this.writeTcp(out);
    out.add(ofConfiguration(gauges));
    out.add(this.ofReports(gauges));
    out.add(processMetrics({ program: 'sidecar', version: gauges.version }));
  }

  /** Drops what nobody has used for long. @param nowMs monotonic */
  expire(nowMs: number): void {
    this.requests.expire(nowMs);
    this.tcp.expire(nowMs);
  }

  private ofCalls({ downstreamConnections, ejectedEndpoints }: Gauges): Family[] {
    return [
      counters('weft_proxy_errors_total', 'error', 'Calls that the proxy answered itself, by reason.', this.proxyErrors.values),
      counter('weft_retries_total', 'Calls tried again because the attempt before surely was not processed.', this.retries),
      {
        name: 'weft_stream_resets_total',
        type: 'counter',
        help: 'Calls reset before their end, by who reset them and why.',
        samples: (['client', 'endpoint'] as const).flatMap((side) =>
          Array.from(this.streamResets[side].values, ([reason, value]) => ({ labels: { side, reason }, value })),
        ),
      },
      ofSets('weft_endpoint_ejections_total', 'Endpoints that got no more calls for a while, by backend and reason.', this.ejections),
      {
        name: 'weft_endpoints_ejected',
        type: 'gauge',
        help: 'Endpoints that get no calls now, by backend.',
        samples: Array.from(ejectedEndpoints, ([backend, value]) => ({ labels: { backend }, value })),
      },
      counters(
        'weft_tls_refusals_total',
        'reason',
        'Inbound connections refused before any octet was passed on, by reason.',
        this.tlsRefusals.values,
      ),
      ofSets('weft_protocol_detections_total', 'Connections by the protocol that their first octets showed.', this.detections),
      counters('weft_upstream_closes_total', 'reason', 'Connections to endpoints that ended, by reason.', this.upstreamCloses.values),
      counters(
        'weft_downstream_closes_total',
        'reason',
        'HTTP/2 connections of clients that ended, by reason.',
        this.downstreamCloses.values,
      ),
      gauge('weft_upstream_connections', 'Open HTTP/2 connections to endpoints.', this.upstreamConnections),
      gauge('weft_downstream_connections', 'Open HTTP/2 connections of clients.', downstreamConnections),
    ];
  }

  private writeTcp(out: Exposition): void {
    const all = [...this.tcp.all()];
    out.family('weft_tcp_connections_total', 'counter', 'Connections passed as TCP.');
    for (const { labels, connections } of all) out.sample('weft_tcp_connections_total', labels, connections);
    out.family('weft_tcp_connections_open', 'gauge', 'Connections passed as TCP that are open.');
    for (const { labels, open } of all) out.sample('weft_tcp_connections_open', labels, open);
    out.family('weft_tcp_sent_bytes_total', 'counter', 'Octets from clients to servers on TCP connections that have ended.');
    for (const { labels, sentBytes } of all) out.sample('weft_tcp_sent_bytes_total', labels, sentBytes);
    out.family('weft_tcp_received_bytes_total', 'counter', 'Octets from servers to clients on TCP connections that have ended.');
    for (const { labels, receivedBytes } of all) out.sample('weft_tcp_received_bytes_total', labels, receivedBytes);
  }

  private ofReports({ accessLines }: Gauges): Family[] {
    return [
      counter('weft_spans_exported_total', 'Spans that the collector took.', this.spansExported),
      counters('weft_spans_dropped_total', 'reason', 'Spans that nobody will see, by reason.', this.spansDropped.values),
      counter('weft_access_log_lines_total', 'Lines of the access log that were written.', accessLines.accessWritten),
      counter(
        'weft_access_log_dropped_total',
        'Lines of the access log that were not written because nobody took them, or not in time.',
        accessLines.accessDropped,
      ),
    ];
  }
}

function ofConfiguration(gauges: Gauges): Family[] {
  return [
    gauge(
      'weft_certificate_expiry_timestamp_seconds',
      "When this workload's certificate expires, Unix time.",
      gauges.certificateNotAfterMs / 1000,
    ),
    gauge('weft_control_plane_connected', '1 while the configuration stream is open.', gauges.connectedToControlPlane ? 1 : 0),
    counter('weft_config_connects_total', 'Configuration streams begun.', gauges.connects),
    gauge('weft_config_resources', 'Resources in force.', gauges.resources),
    gauge('weft_config_age_seconds', 'Since the control plane last sent something.', gauges.configAgeSeconds),
    gauge(
      'weft_config_last_applied_timestamp_seconds',
      'When the control plane last sent something, Unix time; 0: not yet.',
      gauges.lastAppliedMs / 1000,
    ),
    gauge('weft_config_rejected_resources', 'Resources whose newest version this sidecar could not use.', gauges.rejectedResources),
    counter('weft_config_rejections_total', 'Versions of resources that this sidecar could not use.', gauges.rejections),
  ];
}

function ofSets(name: string, help: string, { values }: SetCounter): Family {
  return { name, type: 'counter', help, samples: Array.from(values, ([labels, value]) => ({ labels, value })) };
}
