// The two messages of grpc.health.v1.Health/Check by hand: generated code for them would be larger than this file
// (pure).

/** grpc.health.v1.HealthCheckResponse.ServingStatus. */
const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

export const HEALTH_CHECK_PATH = '/grpc.health.v1.Health/Check';

/** HealthCheckRequest { string service = 1; } */
export function encodeHealthRequest(service: string): Uint8Array {
  const name = Buffer.from(service, 'utf8');
  if (name.length === 0) return name;
  const head = [0x0a];
  let left = name.length;
  for (; left >= 0x80; left >>>= 7) head.push((left & 0x7f) | 0x80);
  head.push(left);
  return Buffer.concat([Buffer.from(head), name]);
}

/**
 * HealthCheckResponse { ServingStatus status = 1; }
 * @returns the status's name; UNKNOWN also for what is not such a message
 */
export function decodeHealthStatus(octets: Uint8Array): string {
  let status = 0;
  let pos = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; pos < octets.length && shift < 35; shift += 7) {
      const octet = octets[pos++]!;
      value |= (octet & 0x7f) << shift;
      if (octet < 0x80) return value >>> 0;
    }
    pos = octets.length + 1;
    return 0;
  };
  while (pos < octets.length) {
    const tag = varint();
    const wire = tag & 7;
    if (wire === 0) {
      const value = varint();
      if (tag >>> 3 === 1) status = value;
    } else if (wire === 2) {
      const length = varint();
      pos += length;
    } else if (wire === 5) pos += 4;
    else if (wire === 1) pos += 8;
    else return SERVING_STATUS[0];
  }
  return pos > octets.length ? SERVING_STATUS[0] : (SERVING_STATUS[status] ?? SERVING_STATUS[0]);
}
