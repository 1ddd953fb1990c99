// How connections of clients are served, by protocol.
import type { ServerCodecs } from '../http/downstream-connections.ts';
import { http1Server } from '../http1/server.ts';
import { http2Server } from '../http2/server.ts';

export const SERVER_CODECS: ServerCodecs = { http1: http1Server, http2: http2Server };
