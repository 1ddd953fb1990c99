// What GRPCRoutes have of their own.
import { Protocol, RouteKind } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { SHARED_FILTERS } from '../filters.ts';
import type { RouteTraits } from '../traits.ts';
import { servedRule } from '../unserved.ts';
import { translateGrpcMatches } from './matches.ts';

export const grpcRouteTraits: RouteTraits = {
  kind: 'GRPCRoute',
  table: RouteKind.GRPC,
  speaks: 'gRPC',
  over: 'HTTP/2',
  protocol: Protocol.HTTP2,
  canBeOn: (protocol) => protocol !== Protocol.TCP,
  // A GRPCRoute speaks HTTP/2 without TLS to its backends.
  foreignAppProtocols: new Set(['https', 'kubernetes.io/ws', 'kubernetes.io/wss', 'tls']),
  // "Call-Definition" and "Status" of gRPC's HTTP/2 protocol document: how the message is framed, when it ends and how
  // it went.
  ownHeaders: new Set([
    'grpc-accept-encoding',
    'grpc-encoding',
    'grpc-message',
    'grpc-message-type',
    'grpc-status',
    'grpc-status-details-bin',
    'grpc-timeout',
  ]),
  served: servedRule({
    matches: { method: { type: true, service: true, method: true }, headers: { type: true, name: true, value: true } },
  }),
  failures: { unmatched: 'UNIMPLEMENTED', invalid: 'UNAVAILABLE' },
  // They have no specified order in a GRPCRoute: Weft runs them as they are listed.
  filters: SHARED_FILTERS,
  translateMatches: translateGrpcMatches,
};
