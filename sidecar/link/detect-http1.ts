// Whether first octets are a request line of HTTP/1.1 or HTTP/1.0 (pure). It must not miss one that some server takes for
// one, because routes and identity would not apply to it; whether it is a good one, the codec judges.

/** Methods after which "/" is enough: no other protocol is known to begin so (RFC 9110 §9, RFC 5789, RFC 4918). */
const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH'.split(' '),
);
/** A method of any name; more than a token (RFC 9110 §5.6.2), because the codec refuses what is none. */
const WORD = /^[\x21-\x7e\x80-\xff]+/;
/** How a request line ends; its version may be any. */
const VERSION = /[ \t]HTTP\/[0-9]+\.[0-9]+[ \t\r]*$/i;
/** Longer words are no methods. */
const LONGEST_METHOD = 32;
/** A line that is longer is taken for a request, which is too large. */
const LONGEST_LINE = 16 * 1024;
/** Octets of white space in front: servers pass empty lines over (RFC 9112 §2.2). */
const MOST_BLANKS = 16;

const HTAB = 0x09;
const SPACE = 0x20;
const SLASH = 0x2f;
const CR = 0x0d;
const LF = 0x0a;

/** @param first the octets so far, at least one */
export function detectHttp1(first: Buffer): 'http1' | 'tcp' | 'more' {
  let at = 0;
  while (at < first.length && (first[at] === CR || first[at] === LF || isBlank(first[at]))) if (++at > MOST_BLANKS) return 'tcp';
  if (at === first.length) return 'more';
  const method = WORD.exec(first.toString('latin1', at, at + LONGEST_METHOD + 1))?.[0] ?? '';
  if (method === '' || method.length > LONGEST_METHOD) return 'tcp';
  const target = at + method.length + 1;
  if (target > first.length) return 'more';
  if (!isBlank(first[target - 1])) return 'tcp';
  if (first[target] === SLASH && METHODS.has(method)) return 'http1';
  const end = first.indexOf(LF, target);
  if ((end < 0 ? first.length : end) - at > LONGEST_LINE) return 'http1';
  if (end < 0) return 'more';
  return VERSION.test(first.toString('latin1', target - 1, end)) ? 'http1' : 'tcp';
}

/**
 * Whether octets that need 'more' and do not go on are to be taken for a request all the same: a pause must not be a
 * way past the codec.
 */
export function isRequestBegun(first: Buffer): boolean {
  const text = first.toString('latin1', 0, LONGEST_METHOD + 2).trimStart();
  const [word] = text.split(' ', 1);
  if (text.length > word.length) return METHODS.has(word) || text.charCodeAt(word.length + 1) === SLASH;
  for (const method of METHODS) if (word !== '' && method.startsWith(word)) return true;
  return false;
}

function isBlank(octet: number): boolean {
  return octet === SPACE || octet === HTAB;
}
