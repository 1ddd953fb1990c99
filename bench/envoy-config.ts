// Envoy's configuration for the same work as Weft's: eight method routes, a header set, a 90/10 split, statistics on,
// tracing if asked for. Pure.
import type { Protocol, Tracing } from './peers/peer.ts';

export interface TlsFiles {
  readonly key: string;
  readonly certificate: string;
  readonly roots: string;
  /** URI name that the server's certificate must carry. */
  readonly serverIdentity: string;
}

/** With the name that the service has in its spans. */
type NamedTracing = Tracing & { readonly service: string };

export interface EnvoyWork {
  /** 'tcp': octets go to the first backend. */
  readonly protocol: Protocol;
  readonly listenPort: number;
  /** Two backends that share the calls 90/10; a server-side proxy has one. */
  readonly backendPorts: readonly number[];
  readonly methods: readonly string[];
  readonly upstreamTls: TlsFiles | null;
  readonly downstreamTls: TlsFiles | null;
  /** Absent: no tracer. */
  readonly tracing?: NamedTracing;
}

/** As Weft's queue and batches are: with its own, Envoy sends five spans at a time, which costs it more. */
const QUEUED_SPANS = 2048;
const BATCHED_SPANS = 512;
const FLUSH_MS = 1000;
const SPAN_BATCHES = {
  'tracing.opentelemetry.min_flush_spans': BATCHED_SPANS,
  'tracing.opentelemetry.flush_interval_ms': FLUSH_MS,
};
const TRACES = 'traces';

const TCP_PROXY = {
  name: 'envoy.filters.network.tcp_proxy',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
    stat_prefix: 'in',
    cluster: 'backend_0',
  },
};

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

function commonTls(files: TlsFiles, protocol: Protocol): object {
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [{ certificate_chain: { filename: files.certificate }, private_key: { filename: files.key } }],
    alpn_protocols: [protocol === 'http1' ? 'http/1.1' : 'h2'],
    validation_context: {
      trusted_ca: { filename: files.roots },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: files.serverIdentity } }],
    },
  };
}

function cluster(name: string, port: number, tls: TlsFiles | null, protocol: Protocol): object {
  return {
    name,
    connect_timeout: '1s',
    type: 'STATIC',
    ...(protocol === 'grpc' ? { typed_extension_protocol_options: HTTP2 } : {}),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] }],
    },
    ...(tls === null
      ? {}
      : {
          transport_socket: {
            name: 'tls',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
              common_tls_context: commonTls(tls, protocol),
            },
          },
        }),
  };
}

function httpConnectionManagerTracing({ share, port, service }: NamedTracing): object {
  return {
    random_sampling: { value: share * 100 },
    provider: {
      name: 'envoy.tracers.opentelemetry',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
        http_service: { http_uri: { uri: `http://127.0.0.1:${port}/v1/traces`, cluster: TRACES, timeout: '10s' } },
        service_name: service,
        max_cache_size: QUEUED_SPANS,
      },
    },
  };
}

/** The configuration as the object that Envoy's --config-yaml takes as JSON. */
export function envoyConfig(work: EnvoyWork): object {
  const split = work.backendPorts.length === 2;
  const clusters = work.backendPorts.map((port, i) => cluster(`backend_${i}`, port, work.upstreamTls, work.protocol));
  const action = split
    ? {
        weighted_clusters: {
          clusters: [
            { name: 'backend_0', weight: 90 },
            { name: 'backend_1', weight: 10 },
          ],
        },
        timeout: '0s',
      }
    : { cluster: 'backend_0', timeout: '0s' };
  const added = split
    ? { request_headers_to_add: [{ header: { key: 'x-weft-route', value: 'bench' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }] }
    : {};
  const routes = split
    ? work.methods.map((path) => ({
        match: work.protocol === 'http1' ? { path_separated_prefix: path } : { path },
        route: action,
        ...added,
      }))
    : [{ match: { prefix: '/' }, route: action }];
  return {
    static_resources: {
      listeners: [
        {
          name: 'in',
          address: { socket_address: { address: '127.0.0.1', port_value: work.listenPort } },
          filter_chains: [
            {
              ...(work.downstreamTls === null
                ? {}
                : {
                    transport_socket: {
                      name: 'tls',
                      typed_config: {
                        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
                        require_client_certificate: true,
                        common_tls_context: commonTls(work.downstreamTls, work.protocol),
                      },
                    },
                  }),
              filters: [
                work.protocol === 'tcp'
                  ? TCP_PROXY
                  : {
                      name: 'envoy.filters.network.http_connection_manager',
                      typed_config: {
                        '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                        stat_prefix: 'in',
                        codec_type: work.protocol === 'http1' ? 'HTTP1' : 'HTTP2',
                        stream_idle_timeout: '0s',
                        ...(work.tracing === undefined ? {} : { tracing: httpConnectionManagerTracing(work.tracing) }),
                        // Weft, too, sends the caller's identity to the application, and removes such a header that came
                        // from elsewhere.
                        ...(work.downstreamTls === null
                          ? {}
                          : { forward_client_cert_details: 'SANITIZE_SET', set_current_client_cert_details: { uri: true } }),
                        route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
                        http_filters: [
                          {
                            name: 'router',
                            typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                          },
                        ],
                      },
                    },
              ],
            },
          ],
        },
      ],
      clusters: work.tracing === undefined ? clusters : [...clusters, cluster(TRACES, work.tracing.port, null, 'http1')],
    },
    ...(work.tracing === undefined ? {} : { layered_runtime: { layers: [{ name: 'batches', static_layer: SPAN_BATCHES }] } }),
  };
}
