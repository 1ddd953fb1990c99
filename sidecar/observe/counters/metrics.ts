// All that a sidecar counts. The page has the fields of SidecarMetrics in their order: a new metric is a new field.
import type { Exposition } from '#core/program/exposition.ts';
import { processMetrics } from '#core/program/process-metrics.ts';
import type { ConfigStreamStatus } from '../../control/stream.ts';
import type { AccessLines } from '../access-log/line-writer.ts';
import { type CounterOptions, LabelledCounter, ReadMetric, SetCounter, SidesCounter, Total } from './counters.ts';
import { RequestStats } from './request-stats.ts';
import { TcpStats } from './tcp-stats.ts';

/** What other parts of the sidecar hold; it is read when the page is written. */
export interface MetricSources {
  readonly version: string;
  /** Unix ms now. */
  readonly nowMs: number;
  /** Unix ms; 0: there is no certificate. */
  readonly certificate: { readonly notAfterMs: number };
  readonly stream: Omit<ConfigStreamStatus, 'sinceMs' | 'responses' | 'lastError'>;
  /** HTTP/2 connections of clients that are open. */
  readonly downstreamConnections: number;
  /** By backend, "ns/name:port". */
  readonly ejectedEndpoints: ReadonlyMap<string, number>;
  readonly accessLines: Pick<AccessLines, 'accessWritten' | 'accessDropped'>;
}

/** A metric of the page: one that counts by itself passes over the sources. */
interface SidecarMetric {
  write(out: Exposition, sources: MetricSources): void;
}

const counterOf = (options: CounterOptions, read: (sources: MetricSources) => number): ReadMetric<MetricSources> =>
  new ReadMetric('counter', options, read);
const gaugeOf = (options: CounterOptions, read: (sources: MetricSources) => number): ReadMetric<MetricSources> =>
  new ReadMetric('gauge', options, read);

export class SidecarMetrics {
  readonly requests: RequestStats;
  readonly proxyErrors = new LabelledCounter({
    name: 'weft_proxy_errors_total',
    help: 'Calls that the proxy answered itself, by reason.',
    label: 'error',
  });
  readonly retries = new Total('counter', {
    name: 'weft_retries_total',
    help: 'Calls tried again because the attempt before surely was not processed.',
  });
  readonly streamResets = new SidesCounter({
    name: 'weft_stream_resets_total',
    help: 'Calls reset before their end, by who reset them and why.',
  });
  readonly ejections = new SetCounter<'backend' | 'reason'>({
    name: 'weft_endpoint_ejections_total',
    help: 'Endpoints that got no more calls for a while, by backend and reason.',
  });
  readonly ejected = new ReadMetric<MetricSources>(
    'gauge',
    { name: 'weft_endpoints_ejected', help: 'Endpoints that get no calls now, by backend.' },
    ({ ejectedEndpoints }) => Array.from(ejectedEndpoints, ([backend, value]) => [{ backend }, value] as const),
  );
  readonly tlsRefusals = new LabelledCounter({
    name: 'weft_tls_refusals_total',
    help: 'Inbound connections refused before any octet was passed on, by reason.',
    label: 'reason',
  });
  readonly detections = new SetCounter<'direction' | 'outcome'>({
    name: 'weft_protocol_detections_total',
    help: 'Connections by the protocol that their first octets showed.',
  });
  readonly upstreamCloses = new LabelledCounter({
    name: 'weft_upstream_closes_total',
    help: 'Connections to endpoints that ended, by reason.',
    label: 'reason',
  });
  readonly downstreamCloses = new LabelledCounter({
    name: 'weft_downstream_closes_total',
    help: 'HTTP/2 connections of clients that ended, by reason.',
    label: 'reason',
  });
  readonly upstreamConnections = new Total('gauge', {
    name: 'weft_upstream_connections',
    help: 'Open HTTP/2 connections to endpoints.',
  });
  readonly callsWaiting = new Total('gauge', {
    name: 'weft_calls_waiting',
    help: 'Calls that wait for a connection to an endpoint.',
  });
  readonly callsWaited = new Total('counter', {
    name: 'weft_calls_waited_total',
    help: 'Calls that had to wait for a connection to an endpoint.',
  });
  readonly downstreamConnections = gaugeOf(
    { name: 'weft_downstream_connections', help: 'Open HTTP/2 connections of clients.' },
    ({ downstreamConnections }) => downstreamConnections,
  );
  readonly tcp = new TcpStats();
  readonly certificateExpiry = gaugeOf(
    { name: 'weft_certificate_expiry_timestamp_seconds', help: "When this workload's certificate expires, Unix time." },
    ({ certificate }) => certificate.notAfterMs / 1000,
  );
  readonly connected = gaugeOf({ name: 'weft_control_plane_connected', help: '1 while the configuration stream is open.' }, ({ stream }) =>
    stream.connected ? 1 : 0,
  );
  readonly connects = counterOf(
    { name: 'weft_config_connects_total', help: 'Configuration streams begun.' },
    ({ stream }) => stream.connects,
  );
  readonly resources = gaugeOf(
    { name: 'weft_config_resources', help: 'Resources in force.' },
    ({ stream }) => Object.keys(stream.versions).length,
  );
  readonly configAge = gaugeOf(
    { name: 'weft_config_age_seconds', help: 'Since the control plane last sent something.' },
    ({ stream, nowMs }) => (stream.lastResponseMs === 0 ? Number.NaN : (nowMs - stream.lastResponseMs) / 1000),
  );
  readonly lastApplied = gaugeOf(
    {
      name: 'weft_config_last_applied_timestamp_seconds',
      help: 'When the control plane last sent something, Unix time; 0: not yet.',
    },
    ({ stream }) => stream.lastResponseMs / 1000,
  );
  readonly rejectedResources = gaugeOf(
    { name: 'weft_config_rejected_resources', help: 'Resources whose newest version this sidecar could not use.' },
    ({ stream }) => Object.keys(stream.rejected).length,
  );
  readonly rejections = counterOf(
    { name: 'weft_config_rejections_total', help: 'Versions of resources that this sidecar could not use.' },
    ({ stream }) => stream.rejections,
  );
  readonly spansExported = new Total('counter', {
    name: 'weft_spans_exported_total',
    help: 'Spans that the collector took.',
  });
  /** The reasons are queue_full, too_large, export_failed and rejected. */
  readonly spansDropped = new LabelledCounter({
    name: 'weft_spans_dropped_total',
    help: 'Spans that nobody will see, by reason.',
    label: 'reason',
  });
  readonly accessWritten = counterOf(
    { name: 'weft_access_log_lines_total', help: 'Lines of the access log that were written.' },
    ({ accessLines }) => accessLines.accessWritten,
  );
  readonly accessDropped = counterOf(
    {
      name: 'weft_access_log_dropped_total',
      help: 'Lines of the access log that were not written because nobody took them, or not in time.',
    },
    ({ accessLines }) => accessLines.accessDropped,
  );

  /** @param unixMs turns the monotonic ms of calls into Unix ms; absent: by the clocks of this process */
  constructor(unixMs?: (monotonicMs: number) => number) {
    this.requests = new RequestStats(unixMs);
  }

  /** Puts all families on the page. */
  write(out: Exposition, sources: MetricSources): void {
    for (const metric of Object.values(this) as SidecarMetric[]) metric.write(out, sources);
    out.add(processMetrics({ program: 'sidecar', version: sources.version }));
  }

  /** Drops series that were not used for long. @param nowMs monotonic */
  expire(nowMs: number): void {
    this.requests.expire(nowMs);
    this.tcp.expire(nowMs);
  }
}
