// A process full of sidecars, as far as the control plane sees them: the sidecar's own credentials and stream over mTLS,
// each from an address of its own, without a data plane behind. Its parent says what to do (crowd.ts).

import { createPublicKey } from 'node:crypto';
import net from 'node:net';
import { create } from '@bufbuild/protobuf';
import { Authority } from '#certs/authority.ts';
import { IssueResponseSchema } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { systemTimers } from '#core/program/timers.ts';
import { Credentials } from '#sidecar/control/credentials.ts';
import { ConfigStream } from '#sidecar/control/stream.ts';

export interface CrowdMember {
  readonly pod: string;
  readonly uid: string;
  /** Keys of Services. */
  readonly wants: readonly string[];
}

export interface CrowdStart {
  readonly authority: { readonly certificate: string; readonly key: string };
  readonly trustDomain: string;
  readonly port: number;
  readonly namespace: string;
  /** Of 127.0.0.0/8: the first three octets' number, so that no two processes share addresses. */
  readonly network: number;
  readonly files: { readonly token: string; readonly roots: string };
  readonly members: readonly CrowdMember[];
}

export type CrowdOrder =
  | { readonly do: 'start'; readonly with: CrowdStart }
  /** Answered when all streams are connected, or none is. */
  | { readonly do: 'await'; readonly connected: boolean }
  /** Answered when every member has got this resource since the order. The answer to `mark` comes at once. */
  | { readonly do: 'mark'; readonly resource: string }
  | { readonly do: 'await marked' }
  /** Octets on the wire since the start. */
  | { readonly do: 'octets' }
  /** A member's stream ends, or begins anew. */
  | { readonly do: 'toggle'; readonly member: number };

export interface CrowdAnswer {
  /** Unix ms with fractions: when the last of them had it. */
  readonly atMs: number;
  readonly octets: number;
}

const POLL_MS = 5;
const now = (): number => performance.timeOrigin + performance.now();

let network = 0;
let addresses = 0;
let ended = 0;
const sockets = new Set<net.Socket>();
const connect = net.connect;
// Each connection comes from an address of its own, as that of a pod does.
net.connect = ((options: net.TcpNetConnectOpts) => {
  const i = addresses++;
  const localAddress = `127.${100 + network}.${1 + (Math.floor(i / 250) % 250)}.${1 + (i % 250)}`;
  const socket = connect({ ...options, localAddress });
  sockets.add(socket);
  socket.once('close', () => {
    ended += socket.bytesRead;
    sockets.delete(socket);
  });
  return socket;
}) as typeof net.connect;

class Member {
  readonly isRunning = (): boolean => this.stream !== null;
  private readonly start: CrowdStart;
  private readonly member: CrowdMember;
  private readonly credentials: Credentials;
  private readonly onResource: (name: string) => void;
  private stream: ConfigStream | null = null;

  constructor(start: CrowdStart, member: CrowdMember, authority: Authority, onResource: (name: string) => void) {
    this.start = start;
    this.member = member;
    this.onResource = onResource;
    const { namespace, port, trustDomain, files } = start;
    this.credentials = new Credentials({
      controlPlane: { host: '127.0.0.1', port },
      tokenFile: files.token,
      trustBundleFile: files.roots,
      trustDomain,
      timers: systemTimers,
      random: Math.random,
      // Signed here with the mesh's authority: what is measured is configuration, not TokenReviews.
      ask: async ({ publicKey }) => {
        const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
        const leaf = await authority.issue(key, namespace, 'app', 0, member.uid);
        return create(IssueResponseSchema, {
          chain: [...leaf.chain],
          roots: [...authority.roots()],
          trustDomain,
          identity: leaf.identity,
          notBeforeMs: BigInt(leaf.notBeforeMs),
          notAfterMs: BigInt(leaf.notAfterMs),
        });
      },
    });
    this.credentials.start();
    this.toggle();
  }

  get connected(): boolean {
    return this.stream?.connected ?? false;
  }

  toggle(): void {
    if (this.stream !== null) {
      this.stream.stop();
      this.stream = null;
      return;
    }
    const { namespace, port } = this.start;
    this.stream = new ConfigStream({
      controlPlane: { host: '127.0.0.1', port },
      credentials: this.credentials,
      version: 'scale',
      namespace,
      pod: this.member.pod,
      apply: (resources) => {
        for (const { name } of resources) this.onResource(name);
        return [];
      },
      timers: systemTimers,
      random: Math.random,
    });
    for (const service of this.member.wants) void this.stream.want(service);
    this.stream.start();
  }
}

const members: Member[] = [];
let marked = '';
let have = new Set<number>();
let lastMs = 0;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

async function follow(order: CrowdOrder): Promise<void> {
  switch (order.do) {
    case 'start': {
      network = order.with.network;
      const authority = await Authority.load(order.with.authority, { trustDomain: order.with.trustDomain, now: Date.now });
      order.with.members.forEach((member, i) => {
        const onResource = (name: string): void => {
          if (name !== marked || have.has(i)) return;
          have.add(i);
          lastMs = now();
        };
        members.push(new Member(order.with, member, authority, onResource));
      });
      break;
    }
    case 'await':
      await until(() => members.every((member) => !member.isRunning() || member.connected === order.connected));
      lastMs = now();
      break;
    case 'mark':
      marked = order.resource;
      have = new Set();
      break;
    case 'await marked':
      await until(() => have.size === members.length);
      break;
    case 'toggle':
      members[order.member]!.toggle();
      break;
    case 'octets':
      break;
  }
  const octets = [...sockets].reduce((sum, { bytesRead }) => sum + bytesRead, ended);
  process.send!({ atMs: lastMs, octets } satisfies CrowdAnswer);
}

process.on('message', (order) => void follow(order as CrowdOrder));
process.on('disconnect', () => process.exit());
