// Which application protocols a TLS client offers, from its ClientHello (pure; RFC 8446 §4.1.2, RFC 7301): they tell
// our sidecars from applications that speak TLS.

/**
 * No sidecar sends a ClientHello longer than this, the headers of its records included; nor is more kept of a
 * connection while it is looked at.
 */
export const LARGEST_CLIENT_HELLO = 16 * 1024;

const RECORD_HEADER = 5;
const HANDSHAKE = 0x16;
const CLIENT_HELLO = 1;
const EXTENSION_ALPN = 16;

/** Reads big-endian numbers; past the end it says so instead of throwing. */
class Cursor {
  private readonly octets: Buffer;
  private at: number;
  private readonly end: number;
  short = false;

  constructor(octets: Buffer, at: number, end: number) {
    this.octets = octets;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  number(size: 1 | 2 | 3): number {
    if (this.left < size) {
      this.short = true;
      return 0;
    }
    const value = this.octets.readUIntBE(this.at, size);
    this.at += size;
    return value;
  }

  skip(size: number): void {
    if (this.left < size) this.short = true;
    else this.at += size;
  }

  /** The next `size` octets as a cursor of their own. */
  part(size: number): Cursor {
    const from = this.at;
    this.skip(size);
    return new Cursor(this.octets, from, this.short ? from : from + size);
  }

  text(size: number): string {
    const from = this.at;
    this.skip(size);
    return this.short ? '' : this.octets.toString('latin1', from, from + size);
  }
}

/**
 * @param octets from the first octet of the first TLS record
 * @returns the offered protocols, an empty list if there is no ALPN; 'more' while octets are missing; null: not a
 * ClientHello
 */
export function offeredProtocols(octets: Buffer): string[] | 'more' | null {
  const offered = protocolsOf(octets.subarray(0, LARGEST_CLIENT_HELLO));
  return offered === 'more' && octets.length >= LARGEST_CLIENT_HELLO ? null : offered;
}

function protocolsOf(octets: Buffer): string[] | 'more' | null {
  const message = handshakeOctets(octets);
  if (message === null || message === 'more') return message;
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return null;
  if (message.length < 4) return 'more';
  const length = message.readUIntBE(1, 3);
  if (length + 4 > LARGEST_CLIENT_HELLO) return null;
  if (message.length < length + 4) return 'more';
  const hello = new Cursor(message, 4, 4 + length);
  hello.skip(2 + 32); // legacy_version, random
  hello.skip(hello.number(1)); // legacy_session_id
  hello.skip(hello.number(2)); // cipher_suites
  hello.skip(hello.number(1)); // legacy_compression_methods
  if (hello.left === 0 && !hello.short) return [];
  const extensions = hello.part(hello.number(2));
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const body = extensions.part(extensions.number(2));
    if (extensions.short) return null;
    if (type === EXTENSION_ALPN) return namesOf(body);
  }
  return hello.short ? null : [];
}

function namesOf(body: Cursor): string[] | null {
  const list = body.part(body.number(2));
  const names: string[] = [];
  while (list.left > 0) names.push(list.text(list.number(1)));
  return body.short || list.short ? null : names;
}

/** The handshake message at the front, which may be cut over several records. */
function handshakeOctets(octets: Buffer): Buffer | 'more' | null {
  let single: Buffer | null = null;
  let parts: Buffer[] | null = null;
  let at = 0;
  while (octets.length - at >= RECORD_HEADER && octets[at] === HANDSHAKE) {
    const end = at + RECORD_HEADER + octets.readUInt16BE(at + 3);
    const fragment = octets.subarray(at + RECORD_HEADER, end);
    if (single === null) single = fragment;
    else (parts ??= [single]).push(fragment);
    if (end > octets.length) break;
    at = end;
  }
  if (single === null) return octets.length < RECORD_HEADER ? 'more' : null;
  return parts === null ? single : Buffer.concat(parts);
}
