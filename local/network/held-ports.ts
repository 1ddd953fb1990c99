// Which process holds a port of this machine, as far as /proc shows it (Linux; elsewhere nothing is known).
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface HeldPort {
  /** Dotted IPv4, or IPv6 in hexadecimal groups; "0.0.0.0" and "::" stand for all addresses. */
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

export interface Holder {
  readonly pid: number;
  readonly commandLine: string;
}

const LISTEN = '0A';

/** Parses /proc/net/tcp or /proc/net/tcp6 (proc(5)); only sockets that listen. */
export function parseListeners(text: string): HeldPort[] {
  const out: HeldPort[] = [];
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields.length < 10 || fields[3] !== LISTEN) continue;
    const [address, port] = fields[1].split(':');
    out.push({ address: address.length === 8 ? ipv4(address) : ipv6(address), port: Number.parseInt(port, 16), inode: fields[9] });
  }
  return out;
}

// The kernel prints each 32-bit word in the machine's byte order: little-endian wherever Node 24 runs.
const words = (hex: string): number[][] =>
  (hex.match(/.{8}/g) ?? []).map((word) =>
    word
      .match(/../g)!
      .map((byte) => Number.parseInt(byte, 16))
      .reverse(),
  );

function ipv4(hex: string): string {
  return words(hex)[0].join('.');
}

function ipv6(hex: string): string {
  const bytes = words(hex).flat();
  if (bytes.every((byte) => byte === 0)) return '::';
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) return bytes.slice(12).join('.');
  const groups = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] << 8) | bytes[i + 1]).toString(16));
  return groups.join(':');
}

/** All listening TCP sockets of this network namespace; empty where there is no /proc. */
export function heldPorts(): HeldPort[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => {
    try {
      return parseListeners(readFileSync(file, 'utf8'));
    } catch {
      return [];
    }
  });
}

/**
 * Would a new listener on this address and port collide with that one? An address for all collides with each (ip(7),
 * SO_REUSEADDR).
 */
export function collides(listener: HeldPort, address: string, port: number): boolean {
  const all = (text: string) => text === '0.0.0.0' || text === '::';
  return listener.port === port && (listener.address === address || all(listener.address) || all(address));
}

/** The process behind a listening socket; undefined if it is another user's or already gone. */
export function holderOf(listener: HeldPort): Holder | undefined {
  const wanted = `socket:[${listener.inode}]`;
  for (const pid of readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of readdir(`/proc/${pid}/fd`)) {
      try {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== wanted) continue;
        return { pid: Number(pid), commandLine: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() };
      } catch {
        // The descriptor or the process went away while we looked.
      }
    }
  }
  return undefined;
}

function readdir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
