// SPIFFE ids: the identities of workloads. They are parsed as strictly as the SPIFFE-ID standard allows, and compared
// as it says.

/** SPIFFE-ID §2.3: implementations must support this and must not generate more. */
export const LONGEST_SPIFFE_ID = 2048;
const LONGEST_TRUST_DOMAIN = 255;
const SCHEME = 'spiffe://';

export interface SpiffeId {
  /** Lower case. */
  readonly trustDomain: string;
  /** '' or begins with '/'. */
  readonly path: string;
}

/** The ServiceAccount a SPIFFE id of Weft's form stands for. */
export interface WorkloadIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** What is wrong with a SPIFFE id: short, stable, fit for a metric label. */
export type SpiffeIdProblem = 'too long' | 'not a spiffe URI' | 'malformed trust domain' | 'malformed path';

export type ParsedSpiffeId = { readonly ok: true; readonly id: SpiffeId } | { readonly ok: false; readonly reason: SpiffeIdProblem };

/**
 * Whether a text may be a trust domain: 1 to 255 of [a-z0-9.-_] (SPIFFE-ID §2.1); the caller folds upper case first.
 */
export function isTrustDomain(text: string): boolean {
  return text.length <= LONGEST_TRUST_DOMAIN && /^[a-z0-9._-]+$/.test(text);
}

/** Parses a SPIFFE id (SPIFFE-ID §2). Scheme and trust domain are case-insensitive, the path is not. Never throws. */
export function parseSpiffeId(text: string): ParsedSpiffeId {
  if (text.length > LONGEST_SPIFFE_ID) return { ok: false, reason: 'too long' };
  if (text.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return { ok: false, reason: 'not a spiffe URI' };
  const slash = text.indexOf('/', SCHEME.length);
  const trustDomain = text.slice(SCHEME.length, slash === -1 ? text.length : slash).toLowerCase();
  // The Kelvin sign and the like fold to ASCII letters, so they are looked for in the text as it came.
  if (!isTrustDomain(trustDomain) || /[^\x21-\x7e]/.test(text)) return { ok: false, reason: 'malformed trust domain' };
  const path = slash === -1 ? '' : text.slice(slash);
  for (const segment of path.split('/').slice(1)) {
    if (!/^[a-zA-Z0-9._-]+$/.test(segment) || segment === '.' || segment === '..') return { ok: false, reason: 'malformed path' };
  }
  return { ok: true, id: { trustDomain, path } };
}

/** The canonical text of a SPIFFE id. */
export function formatSpiffeId(id: SpiffeId): string {
  return `${SCHEME}${id.trustDomain}${id.path}`;
}

/**
 * The SPIFFE id of a ServiceAccount: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
 * @throws RangeError when a part is not a Kubernetes name, so that no name can reach into another part of the path
 */
export function workloadSpiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  if (!isTrustDomain(trustDomain)) throw new RangeError(`not a trust domain: ${JSON.stringify(trustDomain)}`);
  if (!isNamespace(namespace)) throw new RangeError(`not a namespace: ${JSON.stringify(namespace)}`);
  if (!isServiceAccount(serviceAccount)) throw new RangeError(`not a ServiceAccount: ${JSON.stringify(serviceAccount)}`);
  return `${SCHEME}${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** The ServiceAccount behind a SPIFFE id of Weft's form; null for any other id. */
export function parseWorkloadIdentity(spiffeId: string): WorkloadIdentity | null {
  const parsed = parseSpiffeId(spiffeId);
  if (!parsed.ok) return null;
  const parts = parsed.id.path.split('/');
  if (parts.length !== 5 || parts[1] !== 'ns' || parts[3] !== 'sa') return null;
  const [, , namespace, , serviceAccount] = parts as [string, string, string, string, string];
  if (!isNamespace(namespace) || !isServiceAccount(serviceAccount)) return null;
  return { namespace, serviceAccount };
}

/** The identity that a sidecar must find at the control plane's address. */
export function controlPlaneSpiffeId(trustDomain: string): string {
  return workloadSpiffeId(trustDomain, 'weft-system', 'weft-control-plane');
}

/** A Kubernetes namespace: an RFC 1123 label. */
export function isNamespace(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text);
}

/** A Kubernetes ServiceAccount's name: an RFC 1123 subdomain. */
export function isServiceAccount(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(text);
}
