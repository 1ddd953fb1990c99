// Envoy's configuration for the same work as Weft's: eight method routes, a header set, a 90/10 split, statistics on. Pure.

export interface TlsFiles {
  readonly key: string;
  readonly certificate: string;
  readonly roots: string;
  /** URI name that the server's certificate must carry. */
  readonly serverIdentity: string;
}

export interface EnvoyWork {
  readonly listenPort: number;
  /** Two backends that share the calls 90/10; a server-side proxy has one. */
  readonly backendPorts: readonly number[];
  readonly methods: readonly string[];
  readonly upstreamTls: TlsFiles | null;
  readonly downstreamTls: TlsFiles | null;
}

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

function commonTls(files: TlsFiles): object {
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [{ certificate_chain: { filename: files.certificate }, private_key: { filename: files.key } }],
    alpn_protocols: ['h2'],
    validation_context: {
      trusted_ca: { filename: files.roots },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: files.serverIdentity } }],
    },
  };
}

function cluster(name: string, port: number, tls: TlsFiles | null): object {
  return {
    name,
    connect_timeout: '1s',
    type: 'STATIC',
    typed_extension_protocol_options: HTTP2,
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
              common_tls_context: commonTls(tls),
            },
          },
        }),
  };
}

/** The configuration as the object that Envoy's --config-yaml takes as JSON. */
export function envoyConfig(work: EnvoyWork): object {
  const split = work.backendPorts.length === 2;
  const clusters = work.backendPorts.map((port, i) => cluster(`backend_${i}`, port, work.upstreamTls));
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
    ? work.methods.map((method) => ({ match: { path: method }, route: action, ...added }))
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
                        common_tls_context: commonTls(work.downstreamTls),
                      },
                    },
                  }),
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    stat_prefix: 'in',
                    codec_type: 'HTTP2',
                    stream_idle_timeout: '0s',
                    // Weft, too, tells the application who its caller is, and lets nobody else say so.
                    ...(work.downstreamTls === null
                      ? {}
                      : { forward_client_cert_details: 'SANITIZE_SET', set_current_client_cert_details: { uri: true } }),
                    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
                    http_filters: [
                      { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters,
    },
  };
}
