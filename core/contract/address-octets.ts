// The octets of an IP address that text has (pure).

/** @returns 4 or 16 octets; null: it is no address, or one with an IPv4 address inside an IPv6 one */
export function addressOctets(address: string): Uint8Array | null {
  const isV6 = address.includes(':');
  const groups = isV6 ? groupsOf(address) : address.split('.');
  const [count, digits, base] = isV6 ? [8, /^[0-9a-f]{1,4}$/i, 16] : [4, /^\d{1,3}$/, 10];
  if (groups.length !== count || !groups.every((group) => digits.test(group))) return null;
  const numbers = groups.map((group) => Number.parseInt(group, base));
  if (isV6) return Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 0xff]));
  return numbers.every((number) => number <= 0xff) ? Uint8Array.from(numbers) : null;
}

/** The groups of an IPv6 address, with those that "::" stands for. */
function groupsOf(address: string): string[] {
  const [head, tail, ...more] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  if (more.length > 0) return [];
  if (tail === undefined) return head;
  return [...head, ...Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0'), ...tail];
}
