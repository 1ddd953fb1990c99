// Names that more than one program must agree on; they are part of Weft's interface to its users.

export const CONTROLLER_NAME = 'weft.dev/mesh-controller';
export const TOKEN_AUDIENCE = 'weft';
export const DEFAULT_TRUST_DOMAIN = 'cluster.local';

export const LABEL_INJECT = 'weft.dev/inject';
export const LABEL_MTLS = 'weft.dev/mtls';
export const ANNOTATION_STATUS = 'weft.dev/status';

export const SIDECAR_OUTBOUND_PORT = 15001;
export const SIDECAR_INBOUND_PORT = 15006;
export const SIDECAR_ADMIN_PORT = 15020;
export const CONTROL_PLANE_GRPC_PORT = 15012;
export const CONTROL_PLANE_VIEW_PORT = 15014;

/** ALPN between sidecars: HTTP/2 streams, or the bytes of one TCP connection. An absent or other ALPN is refused. */
export const ALPN_HTTP2 = 'weft-h2';
export const ALPN_TCP = 'weft-tcp';
