// What a content-type says of a message: gRPC by its media type, which is a token with an optional suffix and
// parameters, and not by how it begins.

/** 'grpc': its status is in trailers. 'grpc-web': its status is in its body. 'other': HTTP alone. */
export type MessageFormat = 'grpc' | 'grpc-web' | 'other';

const GRPC = 'application/grpc';
/** "application/grpc" [("+proto" / "+json" / {custom})] (gRPC's PROTOCOL-HTTP2.md). */
const GRPC_TYPE = /^application\/grpc(?:\+.+)?$/;
/** gRPC's PROTOCOL-WEB.md, "Content-Type" and "Text-encoded (response) streams". */
const GRPC_WEB_TYPE = /^application\/grpc-web(?:-text(?:-base64)?)?(?:\+.+)?$/;

/** The format that a content-type names; any case, parameters or not (RFC 9110 §8.3.1). */
export function messageFormat(contentType: string): MessageFormat {
  if (contentType === GRPC) return 'grpc';
  const type = mediaType(contentType);
  return GRPC_TYPE.test(type) ? 'grpc' : GRPC_WEB_TYPE.test(type) ? 'grpc-web' : 'other';
}

/** A content-type without its parameters, in lower case. */
export function mediaType(contentType: string): string {
  const semicolon = contentType.indexOf(';');
  return (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}
