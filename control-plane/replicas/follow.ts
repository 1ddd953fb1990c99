// weft.v1.Replicas/Follow, the asking end: one stream to another replica, over mTLS that takes nobody else for one.
import { create } from '@bufbuild/protobuf';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { toPem } from '#certs/authority.ts';
import type { ServerRotation } from '#certs/rotation.ts';
import { type FollowRequest, FollowRequestSchema, type ReplicaReport, Replicas } from '#core/contract/gen/weft/v1/replicas_pb.ts';
import { controlPlaneSpiffeId } from '#core/contract/identity.ts';
import { validateSvid } from '#core/contract/svid.ts';
import type { Timers } from '#core/program/timers.ts';
import { serviceDefinition } from '../publish/wire.ts';
import type { OtherReplica } from './roster.ts';

/** A replica that has vanished without a FIN is noticed after these two, in ms. */
export const REPLICA_PING_EVERY_MS = 10_000;
export const REPLICA_PING_TIMEOUT_MS = 5_000;
/** Octets of one message: 500 Services with three refusals each (control-plane/replicas/reporting.ts) have less. */
export const LARGEST_REPORT = 2 * 1024 * 1024;

export interface FollowEvents {
  report(report: ReplicaReport): void;
  /** Called once, unless the stream was closed. */
  ended(end: FollowEnd): void;
}

/** `refused`: nothing listens there. */
export interface FollowEnd {
  readonly reason: string;
  readonly refused: boolean;
}

/** Opens a stream. @returns what closes it */
export type Follow = (replica: OtherReplica, events: FollowEvents) => () => void;

export interface FollowDeps {
  /** It has been started. */
  readonly rotation: ServerRotation;
  /** Name of this pod. */
  readonly replica: string;
  readonly timers: Timers;
}

const { follow: METHOD } = serviceDefinition(Replicas);

export function followerOf({ rotation, replica: self, timers }: FollowDeps): Follow {
  return ({ address, port }, events) => {
    const { trustDomain } = rotation.authority;
    const leaf = rotation.current()!;
    const expectedIdentity = controlPlaneSpiffeId(trustDomain);
    const channel = credentials.createSsl(
      Buffer.from(rotation.authority.rootsPem()),
      Buffer.from(leaf.key.export({ format: 'pem', type: 'pkcs8' })),
      Buffer.from(leaf.chain.map((der) => toPem('CERTIFICATE', der)).join('')),
      {
        checkServerIdentity: (_name, { raw }) => {
          const verdict = validateSvid(raw, { trustDomain, nowMs: timers.now(), expectedIdentity });
          return verdict.ok ? undefined : new Error(`not a control plane: ${verdict.reason}`);
        },
      },
    );
    const client = new Client(`${address.includes(':') ? `[${address}]` : address}:${port}`, channel, {
      // An IP address is no server name (RFC 6066 §3); the SPIFFE id names the server.
      'grpc.ssl_target_name_override': 'weft-control-plane',
      'grpc.keepalive_time_ms': REPLICA_PING_EVERY_MS,
      'grpc.keepalive_timeout_ms': REPLICA_PING_TIMEOUT_MS,
      'grpc.max_receive_message_length': LARGEST_REPORT,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
    });
    const { path, requestSerialize, responseDeserialize } = METHOD!;
    const call = client.makeServerStreamRequest<FollowRequest, ReplicaReport>(
      path,
      requestSerialize,
      responseDeserialize,
      create(FollowRequestSchema, { replica: self }),
    );
    let isOver = false;
    const close = (): void => {
      isOver = true;
      call.cancel();
      client.close();
    };
    const ended = (end: FollowEnd): void => {
      if (isOver) return;
      close();
      events.ended(end);
    };
    call.on('data', (report: ReplicaReport) => {
      if (!isOver) events.report(report);
    });
    call.on('error', ({ details, message }: ServiceError) =>
      ended({ reason: details || message, refused: (details ?? '').includes('ECONNREFUSED') }),
    );
    call.on('end', () => ended({ reason: 'it has ended its report', refused: false }));
    return close;
  };
}
