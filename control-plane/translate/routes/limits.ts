// How much of a route is read: four times what the CRD of Gateway API 1.7 allows, so that a newer one does not surprise
// us and a forged one does not hurt. And how much is said of it.

export const MOST_PARENT_REFS = 128;
export const MOST_RULES = 64;
/** In all rules of a route together. */
export const MOST_MATCHES = 512;
export const MOST_HEADER_MATCHES = 64;
export const MOST_QUERY_MATCHES = 64;
export const MOST_FILTERS = 64;
export const MOST_HEADER_EDITS = 64;
export const MOST_BACKENDS = 64;
export const MOST_CORS_ENTRIES = 256;
export const MOST_RETRY_CODES = 64;
/** The CRD has no bound. Each attempt is another call to an endpoint. */
export const MOST_RETRY_ATTEMPTS = 16;

/** Characters of a rule's, backend's or mirror's `invalid`: it is sent to every sidecar and shown with failed calls. */
export const LONGEST_REASON = 1000;
