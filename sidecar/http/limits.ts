// Every bound that a hostile or broken peer meets whatever it speaks, by name.
// docs/reference/limits.md explains them to users.

/** L1: so many streams may a peer have open to us, by how far it is trusted. */
export const MAX_STREAMS_PLAINTEXT_PEER = 100;
export const MAX_STREAMS_MESH_PEER = 1000;
/** The application in our own pod: it would only throttle itself. */
export const MAX_STREAMS_OWN_APP = 1000;

/**
 * L2: a decoded header list may have so many octets (name + value + 32 each, RFC 9113 §6.5.2) and fields; cookie crumbs
 * count one by one.
 */
export const MAX_HEADER_LIST_OCTETS = 64 * 1024;
export const MAX_HEADER_FIELDS = 100;

/**
 * L6: data waits for a peer that has sent nothing for so long, in ms: it is pinged, and after as long again without an
 * answer its connection is closed. A peer that lives may pause for as long as it likes.
 */
export const STALL_TIMEOUT_MS = 120_000;

/**
 * L7: so long may each of these take, in ms: a TLS handshake, the HTTP/2 preface where nothing else is served, HTTP/2's
 * first SETTINGS, a header block.
 */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/**
 * L7: so long a client may be silent where its protocol is not declared, in ms, and so long may its HTTP/2 preface take
 * there. It is short because a server that speaks first is not heard before it ends.
 */
export const DETECTION_MS = 500;

/** L8: so many body octets are held for one stream; past so many of one connection its windows shrink. */
export const MAX_STREAM_BUFFER = 256 * 1024;
export const MAX_CONNECTION_BUFFER = 4 * 1024 * 1024;
/** L8: so many octets are held by all connections of a sidecar; past it streams are shed until so many are left. */
export const MAX_SIDECAR_BUFFER = 64 * 1024 * 1024;
export const KEPT_AFTER_SHEDDING = 56 * 1024 * 1024;

/** So many octets of output wait in user space before data is held back on its streams. */
export const OUTPUT_HIGH_WATER = 256 * 1024;

/** So many octets of header lists, and of their encoded bytes, does one connection remember. */
export const MAX_REMEMBERED_OCTETS = 256 * 1024;

/** A connection that has had no stream for so long, in ms, is closed, on either side. */
export const IDLE_CONNECTION_MS = 15 * 60_000;

/**
 * Connections that one client address or identity may have open, and all clients together: past either, the idlest
 * connection of the peer that has the most is closed for the new one; where all are at work the new one is refused. The
 * pod's own application is bounded by the total alone.
 */
export const MAX_CONNECTIONS_PER_PEER = 512;
export const MAX_CONNECTIONS = 4096;
