// Classes of octets in HTTP/1.1's grammar (RFC 9110 §5.6.2, RFC 9112 §3), and what a host may look like.

/** 1 for each octet of a token: a method's or a field name's (RFC 9110 §5.6.2). */
export const IS_TOKEN = new Uint8Array(256);
for (const c of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") IS_TOKEN[c.charCodeAt(0)] = 1;

/** The digit that an octet is in hexadecimal; -1: none. */
export const HEX_DIGIT = new Int8Array(256).fill(-1);
for (let digit = 0; digit < 16; digit++) {
  HEX_DIGIT[digit.toString(16).charCodeAt(0)] = digit;
  HEX_DIGIT[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}

/** Whether a text is a token of at least one octet. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (IS_TOKEN[text.charCodeAt(i)] !== 1) return false;
  return text.length > 0;
}

/**
 * Whether a text may be the target of a request: visible ASCII without a fragment. Characters that RFC 3986 wants to be
 * percent-encoded but browsers send as they are ("|", "[", "{", …) pass.
 */
export function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c <= 0x20 || c >= 0x7f || c === 0x23) return false;
  }
  return text.length > 0;
}

/**
 * uri-host [":" port] (RFC 3986 §3.2.2): a registered name, an IPv4 or an IPv6 address. There is no comma, because
 * with one a list of two hosts would pass, and no userinfo.
 */
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?$/;

export function isHost(text: string): boolean {
  return HOST.test(text);
}

/** Whether a text may be the value of a field: no control character but HTAB (RFC 9110 §5.5). */
export function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if ((c < 0x20 && c !== 0x09) || c === 0x7f || c > 0xff) return false;
  }
  return true;
}
