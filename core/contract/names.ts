// Names that more than one program must agree on; they are part of Weft's interface to its users.

export const CONTROLLER_NAME = 'weft.dev/mesh-controller';
export const TOKEN_AUDIENCE = 'weft';
export const DEFAULT_TRUST_DOMAIN = 'cluster.local';

export const LABEL_INJECT = 'weft.dev/inject';
export const LABEL_MTLS = 'weft.dev/mtls';
/** On an injected pod: JSON of what was done, see injector/. A pod that has it has a sidecar. */
export const ANNOTATION_STATUS = 'weft.dev/status';
/** On an injected pod: hash of the installation's settings by which it was injected, see injector/settings-hash.ts. */
export const ANNOTATION_SETTINGS = 'weft.dev/injected-settings';
/** Field of ANNOTATION_STATUS with the inbound ports that are left out of capture, "9999,20000-20100"; absent: none. */
export const STATUS_SKIP_INBOUND_PORTS = 'skipInboundPorts';
/** Its field with the ports that the pod declares opaque; absent: those that its installation does. */
export const STATUS_OPAQUE_PORTS = 'opaquePorts';

/**
 * Settings of telemetry that sidecars follow as they change: on a Namespace or a Pod (which wins), the first one also
 * on a route.
 */
export const ANNOTATION_TRACE_SAMPLING = 'weft.dev/trace-sampling';
export const ANNOTATION_ACCESS_LOG = 'weft.dev/access-log';

/** Where Weft itself is installed. */
export const SYSTEM_NAMESPACE = 'weft-system';
export const CONTROL_PLANE_NAME = 'weft-control-plane';
export const INJECTOR_NAME = 'weft-injector';
export const NODE_AGENT_NAME = 'weft-node-agent';
/** Roles of people that check an installation. */
export const READER_NAME = 'weft-reader';
/**
 * ConfigMap with the PEM roots under the key roots.pem: in the system namespace, and in each namespace whose pods are
 * injected.
 */
export const TRUST_CONFIG_MAP = 'weft-trust';
export const TRUST_KEY = 'roots.pem';
/** Secret of the authority, in the system namespace: the one that is wanted, as people and tools put it there. */
export const AUTHORITY_SECRET = 'weft-authority';
/** Secret of the authority that signs, of the one before and the one after it: the control plane's own. */
export const AUTHORITY_STATE_SECRET = 'weft-authority-in-use';
/** ConfigMap in which each replica says how far the roots have come, while the authority is replaced. */
export const AUTHORITY_REPORTS = 'weft-authority-replicas';
/** On AUTHORITY_SECRET: what a person asks the control plane for; it takes the annotation away. */
export const ANNOTATION_ROTATE = 'weft.dev/rotate';
export const ANNOTATION_FINISH = 'weft.dev/finish';
/** Value of ANNOTATION_ROTATE: Weft makes the next authority, though others have made this one. */
export const ROTATE_TAKE_OVER = 'take-over';

/** What injection adds to a pod. */
export const SIDECAR_CONTAINER = 'weft-proxy';
export const SIDECAR_USER_ID = 2102;

export const SIDECAR_OUTBOUND_PORT = 15001;
export const SIDECAR_INBOUND_PORT = 15006;
export const SIDECAR_ADMIN_PORT = 15020;
/** No application's: a sidecar that dials it at its own pod learns whether it is captured. */
export const SIDECAR_CHECK_PORT = 15021;
export const CONTROL_PLANE_GRPC_PORT = 15012;
export const CONTROL_PLANE_VIEW_PORT = 15014;
export const WEBHOOK_PORT = 9443;

/** ALPN between sidecars: HTTP/2 streams, or the bytes of one TCP connection. An absent or other ALPN is refused. */
export const ALPN_HTTP2 = 'weft-h2';
export const ALPN_TCP = 'weft-tcp';
