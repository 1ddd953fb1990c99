// The gRPC port: how many connections it holds of each peer and for how long, and which server serves them. A stranger
// shows no certificate of this mesh, or has not finished its handshake; a member has shown one.
import type { Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { Server, ServerCredentials, type ServerOptions, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { ServerRotation } from '#certs/rotation.ts';
import { podUidOf } from '#core/contract/pod-uid.ts';
import { OwnedConnections } from '#core/program/connection-bounds.ts';
import { listenOn } from '#core/program/http-port.ts';
import type { Timers } from '#core/program/timers.ts';
import { HANDSHAKE_WITHIN_MS, tlsContextOf, tlsOptionsOf } from './server-credentials.ts';

/**
 * Strangers at once, and those of one address; past it the oldest goes. A sidecar is one for the time of one call
 * (sidecar/control/credentials.ts), and for the time of a handshake: when a replica is gone, thousands come at once.
 */
export const MOST_STRANGERS = 2048;
export const MOST_STRANGERS_OF_ONE_ADDRESS = 128;
/** A stranger's connection lives no longer, whatever is under way on it; a call of a sidecar gives up after 10 s. */
export const STRANGER_FOR_MS = 30_000;
/** Octets of a message from a stranger: an IssueRequest has a kilobyte (control-plane/issue/request.ts). */
export const LARGEST_STRANGER_MESSAGE = 32 * 1024;
/** Members at once, and connections of one pod: it has one, and a second while it opens its stream anew. */
export const MOST_MEMBERS = 20_000;
export const MOST_OF_ONE_POD = 4;
/** Octets of a message from a member: the largest is the hello of a sidecar that comes back with all that it holds. */
export const LARGEST_MEMBER_MESSAGE = 4 * 1024 * 1024;
/** A member's connection without a stream is closed after this. */
export const MEMBER_IDLE_MS = 30_000;
/** Streams that do not end by themselves when the port is closed are cut after this, in ms. */
const CLOSE_WITHIN_MS = 500;

/** A dead peer is noticed within 30 s, in both directions. */
const COMMON: ServerOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.enable_channelz': 0,
};
const FOR_STRANGERS: ServerOptions = {
  ...COMMON,
  'grpc.max_receive_message_length': LARGEST_STRANGER_MESSAGE,
  'grpc.max_concurrent_streams': 4,
  // In megabytes, of all that a session holds.
  'grpc-node.max_session_memory': 1,
};
const FOR_MEMBERS: ServerOptions = {
  ...COMMON,
  'grpc.max_receive_message_length': LARGEST_MEMBER_MESSAGE,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': 4,
  'grpc.max_connection_idle_ms': MEMBER_IDLE_MS,
};

export interface Served {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

export interface GrpcPortDeps {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** It has been started. */
  readonly rotation: ServerRotation;
  /** What all may call; each handler judges its caller. */
  readonly forAll: readonly Served[];
  /** What members may call besides, or with larger messages. */
  readonly forMembers: readonly Served[];
  readonly timers: Timers;
}

export interface GrpcPort {
  readonly port: number;
  /** Connections that are open now, by kind. */
  counts(): { readonly strangers: number; readonly members: number };
  /** Listens no more, and ends all streams. */
  close(): Promise<void>;
}

/** Listens. New connections see the rotation's newest certificate; open ones stay. @throws the system's error */
export async function openGrpcPort(deps: GrpcPortDeps): Promise<GrpcPort> {
  const { host, rotation, timers } = deps;
  const strangersServer = serverOf(FOR_STRANGERS, deps.forAll);
  const membersServer = serverOf(FOR_MEMBERS, deps.forMembers);
  const forStrangers = strangersServer.createConnectionInjector(ServerCredentials.createInsecure());
  const forMembers = membersServer.createConnectionInjector(ServerCredentials.createInsecure());
  const strangers = new OwnedConnections(MOST_STRANGERS, MOST_STRANGERS_OF_ONE_ADDRESS);
  const members = new OwnedConnections(MOST_MEMBERS, MOST_OF_ONE_POD);
  /** Address and port → what makes a member of the stranger there: it ends its time. */
  const promotions = new Map<string, () => void>();
  const open = new Set<Socket>();
  const listener = tls.createServer({ ...tlsOptionsOf(rotation), handshakeTimeout: HANDSHAKE_WITHIN_MS });

  listener.on('connection', (socket: Socket) => {
    const owner = socket.remoteAddress ?? '';
    const end = endOf(socket);
    const cancel = timers.after(STRANGER_FOR_MS, () => socket.destroy());
    const promote = (): void => {
      cancel();
      strangers.remove(owner, socket);
      promotions.delete(end);
    };
    promotions.set(end, promote);
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      promote();
    });
    strangers.add(owner, socket);
  });
  listener.on('tlsClientError', (_error, socket: TLSSocket) => socket.destroy());
  listener.on('secureConnection', (socket: TLSSocket) => {
    // A dropped connection is no concern of ours, and no reason to end.
    socket.on('error', () => {});
    if (socket.alpnProtocol !== 'h2') return void socket.destroy();
    if (!socket.authorized) return forStrangers.injectConnection(socket);
    promotions.get(endOf(socket))?.();
    const owner = ownerOf(socket);
    socket.once('close', () => members.remove(owner, socket));
    members.add(owner, socket);
    return forMembers.injectConnection(socket);
  });
  const stopFollowing = rotation.onChange(() => listener.setSecureContext(tlsContextOf(rotation)));
  const port = await listenOn(listener, host, deps.port);
  let closing: Promise<void> | null = null;
  return {
    port,
    counts: () => ({ strangers: strangers.size, members: members.size }),
    close: () =>
      (closing ??= (async () => {
        stopFollowing();
        listener.close();
        const ended = Promise.all([shutDown(strangersServer), shutDown(membersServer)]);
        // Without channelz grpc-js 1.14.7 has no way to cut what does not end by itself.
        const timer = setTimeout(() => {
          for (const socket of open) socket.destroy();
        }, CLOSE_WITHIN_MS);
        await ended;
        clearTimeout(timer);
        for (const socket of open) socket.destroy();
      })()),
  };
}

function serverOf(options: ServerOptions, services: readonly Served[]): Server {
  const server = new Server(options);
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  return server;
}

/** A certificate that names no pod stands for itself: only the bound of all holds for it. */
function ownerOf(socket: TLSSocket): string {
  return podUidOf(socket.getPeerCertificate(false).raw) || `unnamed ${endOf(socket)}`;
}

function endOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => server.tryShutdown(() => resolve()));
}
