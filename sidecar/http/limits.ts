// Every bound that a hostile or broken peer meets whatever it speaks, by name. docs/reference/limits.md explains them to users.

/** L2: decoded header list: octets (name + value + 32 each, RFC 9113 §6.5.2) and fields; cookie crumbs count one by one. */
export const MAX_HEADER_LIST_OCTETS = 64 * 1024;
export const MAX_HEADER_FIELDS = 100;

/** L6: data waits for the peer's window without progress, in ms; then that stream is reset. */
export const STALL_TIMEOUT_MS = 120_000;

/** L7: TLS handshake, protocol detection, first SETTINGS, and from the first to the last frame of a header block, in ms. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** L8: body octets held for one stream and for one connection. */
export const MAX_STREAM_BUFFER = 256 * 1024;
export const MAX_CONNECTION_BUFFER = 4 * 1024 * 1024;

/** Output that waits in user space before DATA is held back on its streams, in octets. */
export const OUTPUT_HIGH_WATER = 256 * 1024;
