// All that a sidecar counts, and its text for Prometheus.
import { Exposition, labelText } from './exposition.ts';
import { bucketUpTo } from './histogram.ts';
import { type RequestSeries, RequestStats } from './request-series.ts';

/** Buckets of the Prometheus histogram, in seconds. Few: each costs a series per method and backend. */
const DURATION_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const DURATION_BUCKETS = DURATION_BOUNDS.map((seconds) => bucketUpTo(seconds * 1000));

const GRPC_CODES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

/** A counter split by one label whose values come from a closed set in the code. */
export class LabelledCounter {
  readonly values = new Map<string, number>();

  add(label: string, by = 1): void {
    this.values.set(label, (this.values.get(label) ?? 0) + by);
  }
}

/** Streams reset before their end, by who reset them and why. */
export class ResetCounter {
  readonly client = new LabelledCounter();
  readonly endpoint = new LabelledCounter();

  add(side: 'client' | 'endpoint', reason: string): void {
    this[side].add(reason);
  }
}

/** What is read when somebody asks. */
export interface Gauges {
  readonly version: string;
  readonly certificateNotAfterMs: number;
  readonly connectedToControlPlane: boolean;
  readonly rejectedResources: number;
  readonly downstreamConnections: number;
  readonly configAgeSeconds: number;
}

export class SidecarMetrics {
  readonly requests = new RequestStats();
  readonly proxyErrors = new LabelledCounter();
  readonly tlsRefusals = new LabelledCounter();
  readonly upstreamCloses = new LabelledCounter();
  readonly downstreamCloses = new LabelledCounter();
  readonly streamResets = new ResetCounter();
  upstreamConnections = 0;
  retries = 0;
  tcpConnections = 0;
  tcpBytesSent = 0;
  tcpBytesReceived = 0;
  spansExported = 0;
  /** By reason: queue_full, export_failed, too_large. */
  readonly spansDropped = new LabelledCounter();
  accessLogLines = 0;
  accessLogDropped = 0;

  /** The whole page for /metrics. */
  render(gauges: Gauges): string {
    const out = new Exposition();
    const all = [...this.requests.all()];
    renderRequests(out, all);
    renderHandled(out, 'grpc_client_handled_total', 'outbound', all);
    renderHandled(out, 'grpc_server_handled_total', 'inbound', all);
    const counter = (name: string, help: string, value: number): void => {
      out.family(name, 'counter', help);
      out.sample(name, '', value);
    };
    const labelled = (name: string, label: string, help: string, { values }: LabelledCounter): void => {
      out.family(name, 'counter', help);
      for (const [value, count] of values) out.sample(name, labelText({ [label]: value }), count);
    };
    const gauge = (name: string, help: string, value: number): void => {
      out.family(name, 'gauge', help);
      out.sample(name, '', value);
    };
    labelled('weft_proxy_errors_total', 'error', 'Calls that the proxy answered itself, by reason.', this.proxyErrors);
    labelled(
      'weft_tls_refusals_total',
      'reason',
      'Inbound connections refused before any byte was passed on, by reason.',
      this.tlsRefusals,
    );
    labelled('weft_upstream_closes_total', 'reason', 'Connections to endpoints that ended, by reason.', this.upstreamCloses);
    labelled('weft_downstream_closes_total', 'reason', 'HTTP/2 connections of clients that ended, by reason.', this.downstreamCloses);
    counter('weft_retries_total', 'Calls tried again because the attempt before surely was not processed.', this.retries);
    counter('weft_tcp_connections_total', 'Connections passed as TCP.', this.tcpConnections);
    counter('weft_tcp_sent_bytes_total', 'Octets from clients to servers on TCP connections.', this.tcpBytesSent);
    counter('weft_tcp_received_bytes_total', 'Octets from servers to clients on TCP connections.', this.tcpBytesReceived);
    counter('weft_spans_exported_total', 'Spans that the collector took.', this.spansExported);
    labelled('weft_spans_dropped_total', 'reason', 'Spans that nobody will see, by reason.', this.spansDropped);
    counter('weft_access_log_lines_total', 'Lines of the access log that were written.', this.accessLogLines);
    counter(
      'weft_access_log_dropped_total',
      'Lines of the access log that were not written because nobody took them in time.',
      this.accessLogDropped,
    );
    gauge('weft_upstream_connections', 'Open HTTP/2 connections to endpoints.', this.upstreamConnections);
    gauge('weft_downstream_connections', 'Open HTTP/2 connections of clients.', gauges.downstreamConnections);
    gauge(
      'weft_certificate_expiry_timestamp_seconds',
      "When this workload's certificate expires, Unix time.",
      gauges.certificateNotAfterMs / 1000,
    );
    gauge('weft_control_plane_connected', '1 while the configuration stream is open.', gauges.connectedToControlPlane ? 1 : 0);
    gauge('weft_config_age_seconds', 'Since the control plane last sent something.', gauges.configAgeSeconds);
    gauge('weft_config_rejected_resources', 'Resources whose newest version this sidecar could not use.', gauges.rejectedResources);
    out.family('weft_build_info', 'gauge', 'Version of the sidecar.');
    out.sample('weft_build_info', labelText({ version: gauges.version }), 1);
    return out.toString();
  }
}

function renderRequests(out: Exposition, all: readonly RequestSeries[]): void {
  out.family('weft_requests_total', 'counter', 'Calls ended, by their gRPC status.');
  for (const { labels, statuses } of all) {
    statuses.forEach((count, status) => {
      if (count > 0) out.sample('weft_requests_total', `${labels},grpc_code="${GRPC_CODES[status]}"`, count);
    });
  }
  out.family('weft_requests_in_flight', 'gauge', 'Calls under way.');
  for (const { labels, inFlight } of all) out.sample('weft_requests_in_flight', labels, inFlight);
  out.family('weft_request_duration_seconds', 'histogram', 'From the first octet of a call to its end.');
  for (const { labels, latency } of all) {
    latency.cumulative(DURATION_BUCKETS).forEach((sum, i) => {
      out.sample('weft_request_duration_seconds_bucket', `${labels},le="${DURATION_BOUNDS[i]}"`, sum);
    });
    out.sample('weft_request_duration_seconds_bucket', `${labels},le="+Inf"`, latency.count);
    out.sample('weft_request_duration_seconds_sum', labels, latency.sumMs / 1000);
    out.sample('weft_request_duration_seconds_count', labels, latency.count);
  }
}

/** The names that instrumented gRPC programs use, so that alerts written for them work on programs that are not. */
function renderHandled(out: Exposition, name: string, direction: string, all: readonly RequestSeries[]): void {
  const sums = new Map<string, { service: string; method: string; statuses: Float64Array }>();
  for (const { key, statuses } of all) {
    if (key.direction !== direction || !key.grpc) continue;
    const slash = key.method.indexOf('/');
    const service = slash < 0 ? '' : key.method.slice(0, slash);
    const method = key.method.slice(slash + 1);
    let sum = sums.get(key.method);
    if (sum === undefined) sums.set(key.method, (sum = { service, method, statuses: new Float64Array(statuses.length) }));
    for (let i = 0; i < statuses.length; i++) sum.statuses[i] += statuses[i];
  }
  out.family(name, 'counter', `gRPC calls ended, ${direction}, whatever the application counts itself.`);
  for (const { service, method, statuses } of sums.values()) {
    statuses.forEach((count, status) => {
      if (count > 0) out.sample(name, labelText({ grpc_service: service, grpc_method: method, grpc_code: GRPC_CODES[status] }), count);
    });
  }
}
