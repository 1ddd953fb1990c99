// Requests and responses that two servers might read in two ways (RFC 9112 §11.2): each must be refused, however it is
// cut. The first word of a name says what is wrong.

const HOST = 'Host: a\r\n';

function get(fields: string, line = 'GET / HTTP/1.1'): string {
  return `${line}\r\n${fields}\r\n`;
}

function post(fields: string, body: string): string {
  return `POST / HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
}

function chunked(body: string): string {
  return post('Transfer-Encoding: chunked\r\n', body);
}

/** By name; each ends so that a reader that waits for more has missed the fault. */
export const BAD_REQUESTS: Readonly<Record<string, string>> = {
  // Host (RFC 9112 §3.2)
  'two hosts': get('Host: a\r\nHost: b\r\n'),
  'two hosts that agree': get('Host: a\r\nHost: a\r\n'),
  'two hosts in one line': get('Host: a, b\r\n'),
  'no host': get(''),
  'no host that HTTP/1.1 reads: a name with a space in front': get(' Host: a\r\n'),
  'host with userinfo': get('Host: user@a\r\n'),
  'host with a path': get('Host: a/b\r\n'),
  'host with a space': get('Host: a b\r\n'),
  'host with a port that is none': get('Host: a:b\r\n'),
  'absolute-form and another host': get('Host: b\r\n', 'GET http://a/ HTTP/1.1'),
  'absolute-form and another port': get('Host: a:81\r\n', 'GET http://a:80/ HTTP/1.1'),
  'absolute-form without a host': get(HOST, 'GET http:///x HTTP/1.1'),
  'absolute-form with userinfo': get(HOST, 'GET http://u@a/ HTTP/1.1'),
  'absolute-form of another scheme': get(HOST, 'GET https://a/ HTTP/1.1'),
  // Framing (RFC 9112 §6)
  'content-length beside transfer-encoding': post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nG'),
  'transfer-encoding beside content-length': post('Transfer-Encoding: chunked\r\nContent-Length: 6\r\n', '0\r\n\r\nG'),
  'transfer-encoding in HTTP/1.0': get('Host: a\r\nTransfer-Encoding: chunked\r\n', 'POST / HTTP/1.0'),
  'transfer-encoding in HTTP/1.0 without a host': get('Transfer-Encoding: chunked\r\n', 'POST / HTTP/1.0'),
  'transfer-encoding twice': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  'transfer-encoding twice, the second not chunked': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'),
  'transfer-encoding that is not chunked at the end': post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n'),
  'transfer-encoding of two codings': post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'),
  'transfer-encoding chunked, chunked': post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
  'transfer-encoding with an empty element': post('Transfer-Encoding: , chunked\r\n', '0\r\n\r\n'),
  'transfer-encoding with a parameter': post('Transfer-Encoding: chunked;q=1\r\n', '0\r\n\r\n'),
  'transfer-encoding xchunked': post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'),
  'transfer-encoding in quotes': post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'),
  'transfer-encoding identity': post('Transfer-Encoding: identity\r\nContent-Length: 1\r\n', 'x'),
  'transfer-encoding with a vertical tab': post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n'),
  'transfer-encoding with a NUL': post('Transfer-Encoding: chunked\0\r\n', '0\r\n\r\n'),
  'transfer-encoding empty': post('Transfer-Encoding:\r\n', '0\r\n\r\n'),
  'transfer-encoding with a no-break space': post('Transfer-Encoding:\xa0chunked\r\n', '0\r\n\r\n'),
  'transfer_encoding, which applications may take for it': post('Transfer_Encoding: chunked\r\nContent-Length: 1\r\n', 'x'),
  'content_length beside content-length': post('Content_Length: 2\r\nContent-Length: 1\r\n', 'x'),
  'content-lengths that differ': post('Content-Length: 1\r\nContent-Length: 2\r\n', 'xx'),
  'content-lengths that agree': post('Content-Length: 1\r\nContent-Length: 1\r\n', 'x'),
  'content-length as a list': post('Content-Length: 1, 1\r\n', 'x'),
  'content-length with a sign': post('Content-Length: +1\r\n', 'x'),
  'content-length negative': post('Content-Length: -1\r\n', 'x'),
  'content-length hexadecimal': post('Content-Length: 0x1\r\n', 'x'),
  'content-length with a space inside': post('Content-Length: 1 1\r\n', 'x'),
  'content-length with a fraction': post('Content-Length: 1.0\r\n', 'x'),
  'content-length empty': post('Content-Length:\r\n', ''),
  'content-length beyond a number': post('Content-Length: 99999999999999999999\r\n', 'x'),
  // Lines (RFC 9112 §§2.2, 5.1, 5.2)
  'bare LF behind the request line': 'GET / HTTP/1.1\nHost: a\r\n\r\n',
  'bare LF behind a field': 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n',
  'bare LF as the empty line': 'GET / HTTP/1.1\r\nHost: a\r\n\n',
  'bare LF in a value': get('Host: a\r\nX: b\nTransfer-Encoding: chunked\r\n'),
  'bare CR in a value': get('Host: a\r\nX: b\rTransfer-Encoding: chunked\r\n'),
  'bare CR twice': 'GET / HTTP/1.1\r\nHost: a\r\r\n\r\n',
  'bare CR in the request line': 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n',
  'obs-fold': get('Host: a\r\nX: b\r\n c\r\n'),
  'obs-fold by a tab': get('Host: a\r\nX: b\r\n\tTransfer-Encoding: chunked\r\n'),
  'obs-fold of the first field': get(' X: b\r\nHost: a\r\n'),
  'space before the colon': get('Host: a\r\nX : b\r\n'),
  'tab before the colon': get('Host: a\r\nTransfer-Encoding\t: chunked\r\n'),
  'space in a name': get('Host: a\r\nTransfer Encoding: chunked\r\n'),
  'no name': get('Host: a\r\n: b\r\n'),
  'no colon': get('Host: a\r\nX\r\n'),
  'name beyond ASCII': get('Host: a\r\nX\xe9: b\r\n'),
  'name with a NUL': get('Host: a\r\nX\0Y: b\r\n'),
  'name with a bracket': get('Host: a\r\nX(Y: b\r\n'),
  'value with a NUL': get('Host: a\r\nX: \0\r\n'),
  'value with a control character': get('Host: a\r\nX: \x01\r\n'),
  'value with DEL': get('Host: a\r\nX: \x7f\r\n'),
  'names that differ by "_" and "-" alone': get('Host: a\r\nX-User: a\r\nX_User: b\r\n'),
  // Request line (RFC 9112 §3)
  'method that is no token': get(HOST, 'G(T / HTTP/1.1'),
  'method beyond ASCII': get(HOST, 'G\xc9T / HTTP/1.1'),
  'method missing': get(HOST, ' / HTTP/1.1'),
  'two spaces behind the method': get(HOST, 'GET  / HTTP/1.1'),
  'two spaces behind the target': get(HOST, 'GET /  HTTP/1.1'),
  'space behind the version': get(HOST, 'GET / HTTP/1.1 '),
  'tab in place of a space': get(HOST, 'GET\t/ HTTP/1.1'),
  'target with a space': get(HOST, 'GET /a b HTTP/1.1'),
  'target beyond ASCII': get(HOST, 'GET /\xe9 HTTP/1.1'),
  'target with a fragment': get(HOST, 'GET /a#b HTTP/1.1'),
  'target without a slash': get(HOST, 'GET a HTTP/1.1'),
  'target * of GET': get(HOST, 'GET * HTTP/1.1'),
  'authority-form of GET': get('Host: a:80\r\n', 'GET a:80 HTTP/1.1'),
  'CONNECT with a path': get(HOST, 'CONNECT /x HTTP/1.1'),
  'CONNECT without a port': get(HOST, 'CONNECT a HTTP/1.1'),
  'version missing': get(HOST, 'GET /'),
  'version in lower case': get(HOST, 'GET / http/1.1'),
  'version 2.0': get(HOST, 'GET / HTTP/2.0'),
  'version 1.10': get(HOST, 'GET / HTTP/1.10'),
  'version with a space': get(HOST, 'GET / HTTP/ 1.1'),
  'two empty lines in front': `\r\n\r\n${get(HOST)}`,
  'bare LF in front': `\n${get(HOST)}`,
  // Chunks (RFC 9112 §7.1)
  'chunk size negative': chunked('-1\r\nx\r\n0\r\n\r\n'),
  'chunk size with a prefix': chunked('0x1\r\nx\r\n0\r\n\r\n'),
  'chunk size with a sign': chunked('+1\r\nx\r\n0\r\n\r\n'),
  'chunk size with a space in front': chunked(' 1\r\nx\r\n0\r\n\r\n'),
  'chunk size with a space behind': chunked('1 \r\nx\r\n0\r\n\r\n'),
  'chunk size with an underscore': chunked('1_0\r\nx\r\n0\r\n\r\n'),
  'chunk size missing': chunked('\r\nx\r\n0\r\n\r\n'),
  'chunk size beyond a number': chunked('FFFFFFFFFFFFFFFFF\r\nx'),
  'chunk size with many zeros': chunked('00000000000000000001\r\nx\r\n0\r\n\r\n'),
  'bare LF behind a chunk size': chunked('1\nx\r\n0\r\n\r\n'),
  'bare CR behind a chunk size': chunked('1\rx\r\n0\r\n\r\n'),
  'bare LF in a chunk extension': chunked('1;a\nx\r\n0\r\n\r\n'),
  'bare CR in a chunk extension': chunked('1;a\rb\r\nx\r\n0\r\n\r\n'),
  'control character in a chunk extension': chunked('1;a\0\r\nx\r\n0\r\n\r\n'),
  'chunk longer than its size': chunked('1\r\nxy\r\n0\r\n\r\n'),
  'chunk shorter than its size': chunked('4\r\nx\r\n0\r\n\r\n'),
  'bare LF behind a chunk': chunked('1\r\nx\n0\r\n\r\n'),
  'bare LF behind the last chunk': chunked('0\n\r\n'),
  'trailers with a bare LF': chunked('0\r\nX: a\n\r\n'),
  'trailers with obs-fold': chunked('0\r\nX: a\r\n b\r\n\r\n'),
  'trailers with content-length': chunked('0\r\nContent-Length: 1\r\n\r\n'),
  'trailers with transfer-encoding': chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n'),
  'trailers with a host': chunked('0\r\nHost: b\r\n\r\n'),
  'trailers that are another request': chunked('0\r\nGET /admin HTTP/1.1\r\n\r\n'),
};

function response(fields: string, body = '', line = 'HTTP/1.1 200 OK'): string {
  return `${line}\r\n${fields}\r\n${body}`;
}

export const BAD_RESPONSES: Readonly<Record<string, string>> = {
  'content-length beside transfer-encoding': response('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  'transfer-encoding in HTTP/1.0': response('Transfer-Encoding: chunked\r\n', '0\r\n\r\n', 'HTTP/1.0 200 OK'),
  'transfer-encoding that is not chunked at the end': response('Transfer-Encoding: chunked, gzip\r\n'),
  'content-lengths that differ': response('Content-Length: 1\r\nContent-Length: 2\r\n', 'xx'),
  'content-length that is no number': response('Content-Length: one\r\n', 'x'),
  'bare LF behind a field': 'HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n',
  'bare CR in the reason': 'HTTP/1.1 200 O\rK\r\n\r\n',
  'obs-fold': response('X: a\r\n b\r\n'),
  'space before the colon': response('X : a\r\n'),
  'status of two digits': response('', '', 'HTTP/1.1 20 OK'),
  'status of four digits': response('', '', 'HTTP/1.1 2000 OK'),
  'status that begins with 0': response('', '', 'HTTP/1.1 020 OK'),
  'version of HTTP/2': response('', '', 'HTTP/2 200'),
  'version of ICY': response('', '', 'ICY 200 OK'),
  'switch that was not asked for': response('Connection: upgrade\r\nUpgrade: websocket\r\n', '', 'HTTP/1.1 101 Switching Protocols'),
  'empty line in front': `\r\n${response('Content-Length: 0\r\n')}`,
  'chunk size that is no number': response('Transfer-Encoding: chunked\r\n', 'x\r\n'),
};
