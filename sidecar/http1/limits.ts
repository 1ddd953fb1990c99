// Every bound of HTTP/1.1's own that a hostile or broken peer meets, by name. docs/reference/limits.md explains them to
// users.

/**
 * A header section may have so many octets as they came, white space and line ends included, and the request line or
 * status line so many of them. L2 bounds the list that is made of it.
 */
export const MAX_SECTION_OCTETS = 80 * 1024;
export const MAX_START_LINE_OCTETS = 16 * 1024;

/** The line with a chunk's size and extensions may have so many octets, and the extensions of one body together. */
export const MAX_CHUNK_LINE_OCTETS = 1024;
export const MAX_CHUNK_EXTENSION_OCTETS = 16 * 1024;

/** So many informational responses (1xx) may come before the final one. */
export const MAX_INFORMATIONAL_RESPONSES = 100;

/**
 * A client that is answered before its request has ended, or refused, may not notice at once: what it still sends is
 * dropped for so long, in ms, so that it reads its answer.
 */
export const LAST_WORDS_MS = 2000;
