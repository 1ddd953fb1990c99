// How the application learns the caller's identity: a header that only this sidecar may set.
import { plainPort } from '../route/compile/compile.ts';
import type { CompiledPort, HeaderEdit, ServicePortRef } from '../route/records.ts';

/** The caller's SPIFFE id as `URI=…` (Envoy's format of the header). */
const IDENTITY_HEADER = 'x-forwarded-client-cert';
/**
 * The name in all spellings that an application might read as the same: CGI and WSGI servers turn '-' into '_' (RFC
 * 3875 §4.1.18).
 */
const SPOOFABLE = IDENTITY_HEADER.split('-').reduce<string[]>(
  (names, part) => (names.length === 0 ? [part] : names.flatMap((name) => [`${name}-${part}`, `${name}_${part}`])),
  [],
);

/**
 * What one peer's calls to a port of this pod become: they go to the application, with the peer's identity and without
 * identities that it claims.
 * @param caller SPIFFE id, or '' for plaintext
 */
export function inboundPort(ref: ServicePortRef, caller: string): CompiledPort {
  const edits: HeaderEdit[] = SPOOFABLE.map((name) => ({ op: 'remove', name, value: '' }));
  if (caller !== '') edits.push({ op: 'set', name: IDENTITY_HEADER, value: `URI=${caller}` });
  return plainPort(ref, edits);
}
