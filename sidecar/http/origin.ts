// How sidecars say to each other that a call began as HTTP/1.1 (decision 24): a field that no application sets or sees.

export const ORIGIN_FIELD = 'weft-origin';
/** Of a request: it came by HTTP/1.1, and goes to its application by it. */
export const HTTP1_ORIGIN = 'http/1.1';
/** Of a response with status 200: the application has switched protocols, as 101 says, which HTTP/2 does not have. */
export const SWITCHED = 'switched';
