// Every bound of HTTP/2's own that a hostile or broken peer meets, by name. docs/reference/limits.md explains them to
// users.

/**
 * So many CONTINUATION frames may one header block have: full ones carry half a mebibyte. Larger lists than L2 are
 * decoded, because HPACK's state needs it, and dropped; past this the connection is closed (CVE-2024-27316).
 */
export const MAX_CONTINUATIONS = 32;

/**
 * L3: rapid reset (CVE-2023-44487): once a connection had so many requests, it is closed when more than half of them
 * were reset within RESET_SOON_MS.
 */
export const RAPID_RESET_MIN_REQUESTS = 500;
export const RESET_SOON_MS = 1000;

/**
 * L3 and L4 for other sidecars and the pod's own application, whose connections many callers share: resets that we are
 * made to send, and of streams that the peer resets within RESET_AT_ONCE_MS, before a deadline or a user could end
 * them. The size of the bucket and its refill.
 */
export const TRUSTED_RESET_BURST = 20_000;
export const TRUSTED_RESETS_PER_SECOND = 5000;
export const RESET_AT_ONCE_MS = 2;

/**
 * Resets that we send on one plaintext connection to an endpoint, and their refill: servers end connections that have
 * more (nghttp2: 1000 and 33 a second). Each open stream has one in reserve; a connection with less than a quarter of
 * them left takes no new streams, and another one is opened.
 */
export const RESET_BUDGET = 800;
export const RESETS_PER_SECOND = 25;

/** L4: resets that the peer makes us send (CVE-2025-8671, "MadeYouReset"): the size of the bucket and its refill. */
export const FORCED_RESET_BURST = 200;
export const FORCED_RESET_PER_SECOND = 33;

/** L5: the time from a GOAWAY with an error to the end of the socket, in ms. */
export const ERROR_LINGER_MS = 500;

/**
 * L8: the window that each new stream gets. When its data is consumed it grows to MAX_STREAM_BUFFER, as long as all
 * that streams were given beyond this window is within MAX_CONNECTION_BUFFER. While a connection holds half of
 * MAX_CONNECTION_BUFFER, streams shrink back to this, and past all of it to SMALLEST_STREAM_WINDOW.
 */
export const INITIAL_STREAM_WINDOW = 65_535;
export const SMALLEST_STREAM_WINDOW = 16_384;
/** The window of the whole connection. It goes back at once, so that no stream waits for another one's reader. */
export const CONNECTION_WINDOW = 1024 * 1024;

/**
 * So many octets of an endpoint's window for a whole connection are kept for small calls, whose request is no larger
 * than SMALL_CALL_OCTETS: uploads that its application does not read must not silence them.
 */
export const SMALL_CALL_RESERVE = 16_384;
export const SMALL_CALL_OCTETS = 4096;
/** An endpoint that has left no more than that for so long, in ms, gets no new streams on that connection. */
export const CLOGGED_AFTER_MS = 100;

/**
 * Frames that carry nothing forward (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA): so many may come before any
 * work, and so many does each frame of work and each second earn.
 */
export const IDLE_FRAME_BUDGET = 1000;
export const IDLE_FRAMES_PER_WORK_FRAME = 4;
export const IDLE_FRAMES_PER_SECOND = 100;
/** So many octets that we sent earn one WINDOW_UPDATE, at any time. */
export const OCTETS_PER_WINDOW_UPDATE = 128;
/** So many entries may one SETTINGS frame have. */
export const MAX_SETTINGS_ENTRIES = 32;

/** Our largest frame, and the largest we accept (RFC 9113 §4.2's minimum: small frames keep streams fair). */
export const MAX_FRAME_SIZE = 16_384;

/** The HPACK table that we offer to decode with, and the most that we use of a peer's offer, in octets. */
export const DECODER_TABLE_SIZE = 4096;
export const ENCODER_TABLE_SIZE = 4096;
