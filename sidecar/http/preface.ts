// The octets that tell the protocols of a connection apart: detection looks for them, and the codec expects them.

/** HTTP/2 with prior knowledge begins so (RFC 9113 §3.4). */
export const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
