// Every bound that a hostile or broken HTTP/2 peer meets, by name. docs/reference/limits.md explains them to users.

/** L1: concurrent streams that a peer may open to us, by how far it is trusted. */
export const MAX_STREAMS_PLAINTEXT_PEER = 100;
export const MAX_STREAMS_MESH_PEER = 1000;
/** The application in our own pod: it would only throttle itself. */
export const MAX_STREAMS_OWN_APP = 1000;

/** CONTINUATION frames in one header block. Past it the connection is closed (CVE-2024-27316 class). */
export const MAX_CONTINUATIONS = 8;

/** L3: rapid reset (CVE-2023-44487): after this many requests, more than half of them reset within RESET_SOON_MS closes the connection. */
export const RAPID_RESET_MIN_REQUESTS = 500;
export const RESET_SOON_MS = 1000;

/** L4: resets that the peer makes us send (CVE-2025-8671, "MadeYouReset"): bucket size and refill. */
export const FORCED_RESET_BURST = 200;
export const FORCED_RESET_PER_SECOND = 33;

/** L5: from an error GOAWAY to the socket being gone, in ms. */
export const ERROR_LINGER_MS = 500;

/** Window that each new stream gets; one that is being consumed grows to MAX_STREAM_BUFFER. */
export const INITIAL_STREAM_WINDOW = 65_535;
/** Window of the whole connection. */
export const CONNECTION_WINDOW = 1024 * 1024;

/** Frames that carry nothing forward (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA): what may come before any work, and what each frame of work earns. */
export const IDLE_FRAME_BUDGET = 1000;
export const IDLE_FRAMES_PER_WORK_FRAME = 4;
export const IDLE_FRAMES_PER_SECOND = 100;
/** Each so many octets that we sent allow one WINDOW_UPDATE more, at any time. */
export const OCTETS_PER_WINDOW_UPDATE = 128;
/** Entries in one SETTINGS frame. */
export const MAX_SETTINGS_ENTRIES = 32;

/** Our largest frame, and the largest we accept (RFC 9113 §4.2's minimum: small frames keep streams fair). */
export const MAX_FRAME_SIZE = 16_384;

/** Decoded header lists, and their encoded bytes, that the HPACK caches of one connection remember, in octets. */
export const MAX_REMEMBERED_OCTETS = 256 * 1024;

/** HPACK table that we offer to decode with, and the most that we use of a peer's offer. */
export const DECODER_TABLE_SIZE = 4096;
export const ENCODER_TABLE_SIZE = 4096;
