// Where a connection was going before the capture rules redirected it to us: getsockopt(SO_ORIGINAL_DST), which Node
// does not offer. koffi is loaded by the first call only: it costs about 2 MB, which a sidecar without capture must not
// pay.
import { createRequire } from 'node:module';
import type net from 'node:net';

/** linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h; SOL_IP and SOL_IPV6 are the levels. */
const SO_ORIGINAL_DST = 80;
const SOL_IP = 0;
const SOL_IPV6 = 41;
/** struct sockaddr_in: family, port, address. */
const SOCKADDR_IN_OCTETS = 16;
/** struct sockaddr_in6: family, port, flow, address, scope. */
const SOCKADDR_IN6_OCTETS = 28;

/** Where a connection was going before it was redirected to us. */
export interface OriginalDestination {
  /** IPv4 dotted, or IPv6 as RFC 5952 writes it. */
  readonly address: string;
  readonly port: number;
}

type GetSockOpt = (fd: number, level: number, option: number, value: Buffer, length: Buffer) => number;

/** Filled and read within one call, so one of each per thread is enough. */
const sockaddr = Buffer.allocUnsafeSlow(SOCKADDR_IN6_OCTETS);
const sockaddrLength = Buffer.allocUnsafeSlow(4);

let getSockOpt: GetSockOpt | null = null;
let problem: string | null = null;

/** '' when original destinations can be asked for, else why not, for people. Loads koffi. */
export function originalDestinationProblem(): string {
  problem ??= load();
  return problem;
}

/**
 * The address a client connected to. Where nothing redirected the connection it is our own address and port.
 * @returns null when the kernel does not know (no rules loaded, socket closed) or cannot be asked
 * (originalDestinationProblem())
 */
export function originalDestination(socket: net.Socket): OriginalDestination | null {
  if (originalDestinationProblem() !== '') return null;
  const handle = (socket as unknown as { _handle: { fd?: number } | null })._handle;
  const fd = handle?.fd ?? -1;
  if (fd < 0) return null;
  // SOL_IP answers for IPv4, also when it came in as ::ffff:a.b.c.d on a socket of both families; it knows nothing of
  // IPv6 connections.
  if (ask(fd, SOL_IP, SOCKADDR_IN_OCTETS)) return { address: ipv4At(4), port: sockaddr.readUInt16BE(2) };
  if (ask(fd, SOL_IPV6, SOCKADDR_IN6_OCTETS)) return { address: formatIpv6(sockaddr, 8), port: sockaddr.readUInt16BE(2) };
  return null;
}

/**
 * The sixteen octets of an IPv6 address at `offset` as RFC 5952 §4 writes them: lower case, the longest run of zeros as
 * "::".
 */
export function formatIpv6(octets: Buffer, offset: number): string {
  let runStart = -1;
  let runLength = 1; // a single zero group is not shortened
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && octets.readUInt16BE(offset + 2 * (i + length)) === 0) length++;
    if (length > runLength) {
      runStart = i;
      runLength = length;
    }
    i += length;
  }
  let text = '';
  for (let i = 0; i < 8; i++) {
    if (i === runStart) {
      text += '::';
      i += runLength - 1;
      continue;
    }
    if (text !== '' && !text.endsWith(':')) text += ':';
    text += octets.readUInt16BE(offset + 2 * i).toString(16);
  }
  return text;
}

function ask(fd: number, level: number, octets: number): boolean {
  sockaddrLength.writeUInt32LE(octets);
  return getSockOpt!(fd, level, SO_ORIGINAL_DST, sockaddr, sockaddrLength) === 0;
}

function ipv4At(offset: number): string {
  return `${sockaddr[offset]}.${sockaddr[offset + 1]}.${sockaddr[offset + 2]}.${sockaddr[offset + 3]}`;
}

function load(): string {
  if (process.platform !== 'linux') return `original destinations are known on Linux only, not on ${process.platform}`;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    getSockOpt = koffi.load(null).func('int getsockopt(int fd, int level, int option, void *value, void *length)') as unknown as GetSockOpt;
    return '';
  } catch (error) {
    const detail = (error as Error).message.split('\n')[0];
    return `original destinations cannot be asked for: koffi's native library does not load on ${process.platform}-${process.arch} (${detail})`;
  }
}
