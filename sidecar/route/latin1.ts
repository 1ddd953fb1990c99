// Configuration is UTF-8 text, requests are octets as latin1 strings: both are brought to octets when compiling, so
// that a request converts nothing.

const BEYOND_ASCII = /[^\x00-\x7f]/;

/** The UTF-8 octets of `text` as a latin1 string (one char = one octet). ASCII is returned as it is. */
export function octetsOf(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** The text of octets that should be UTF-8; what is not becomes U+FFFD. ASCII is returned as it is. */
export function utf8Of(octets: string): string {
  return BEYOND_ASCII.test(octets) ? Buffer.from(octets, 'latin1').toString('utf8') : octets;
}
