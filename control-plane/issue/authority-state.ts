// Which authority signs, which one follows it, and whose roots are trusted still: what all replicas agree on, and its
// steps. Pure.
import { AuthorityError, type AuthorityPem } from '#certs/authority.ts';

/**
 * An old root stays trusted for so long beyond the life of the last leaf: a replica may hear of its successor late, and
 * sign until then, in ms.
 */
export const RETIRE_MARGIN_MS = 10 * 60_000;

export interface RetiredRoot {
  /** PEM. */
  readonly certificate: string;
  /** Unix ms: then no leaf of it is left. */
  readonly untilMs: number;
}

export interface AuthorityState {
  readonly signing: AuthorityPem;
  /** Its roots are trusted already; it signs as soon as they are trusted everywhere. */
  readonly next?: { readonly pem: AuthorityPem; readonly sinceMs: number };
  readonly retired: readonly RetiredRoot[];
  /** Counts up with each change; see TrustBundle.generation. */
  readonly generation: number;
  /** The longest life of a leaf that `signing` has signed, in ms. */
  readonly leafMs: number;
}

/** @param leafMs the longest life of a leaf */
export function firstState(signing: AuthorityPem, nowMs: number, leafMs: number): AuthorityState {
  return { signing, retired: [], generation: nowMs, leafMs };
}

/** Another authority is wanted: it is trusted from now on. The one that signs, wanted again, takes back its successor. */
export function withNext(state: AuthorityState, pem: AuthorityPem, nowMs: number): AuthorityState {
  const { next: _, ...rest } = state;
  if (isSameAuthority(pem, state.signing)) return changed(rest, nowMs);
  return changed({ ...rest, next: { pem, sinceMs: nowMs } }, nowMs);
}

/**
 * The successor signs from now on.
 * @param root PEM of the old one's root, which stays trusted; undefined: its leaves and those of the successor are the
 * same
 */
export function promoted(state: AuthorityState, root: string | undefined, nowMs: number, leafMs: number): AuthorityState {
  const { next, ...rest } = state;
  if (next === undefined) return state;
  const untilMs = nowMs + Math.max(state.leafMs, leafMs) + RETIRE_MARGIN_MS;
  const retired = root === undefined ? state.retired : [...state.retired, { certificate: root, untilMs }];
  return changed({ ...rest, signing: next.pem, retired, leafMs: root === undefined ? Math.max(state.leafMs, leafMs) : leafMs }, nowMs);
}

/** Without old roots that end by then (Unix ms). */
export function withoutRetired(state: AuthorityState, nowMs: number, byMs: number): AuthorityState {
  return changed({ ...state, retired: state.retired.filter(({ untilMs }) => untilMs > byMs) }, nowMs);
}

/** Leaves live longer from now on. */
export function withLeafLife(state: AuthorityState, nowMs: number, leafMs: number): AuthorityState {
  return changed({ ...state, leafMs }, nowMs);
}

function changed(state: AuthorityState, nowMs: number): AuthorityState {
  return { ...state, generation: Math.max(nowMs, state.generation + 1) };
}

const PARTS = { 'tls.crt': 'certificate', 'tls.key': 'key', 'ca.crt': 'issuers', 'extra-roots.pem': 'extraRoots' } as const;

export function isSameAuthority(a: AuthorityPem, b: AuthorityPem): boolean {
  return Object.values(PARTS).every((part) => (a[part] ?? '').trim() === (b[part] ?? '').trim());
}

/** The `data` of a Secret of this authority. @param prefix of its keys */
export function encodeAuthority(pem: AuthorityPem, prefix = ''): Record<string, string> {
  const texts = Object.entries(PARTS).map(([key, part]): [string, string] => [`${prefix}${key}`, pem[part] ?? '']);
  return Object.fromEntries(texts.filter(([, text]) => text !== '').map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
}

/** The authority in the `data` of a Secret. @throws AuthorityError naming the key that is missing */
export function decodeAuthority(data: Readonly<Record<string, unknown>>, prefix = ''): AuthorityPem {
  const texts = Object.entries(PARTS).map(([key, part]) => [part, textIn(data, `${prefix}${key}`)] as const);
  const pem = Object.fromEntries(texts.filter(([, text]) => text !== '')) as unknown as Partial<AuthorityPem>;
  const { certificate, key } = pem;
  if (!certificate || !key) throw new AuthorityError(`it has no ${prefix}${certificate ? 'tls.key' : 'tls.crt'}`);
  return { ...pem, certificate, key };
}

const NEXT = 'next-';
const STATE_KEY = 'state.json';

/** The `data` of AUTHORITY_STATE_SECRET. */
export function encodeAuthorityState({ signing, next, retired, generation, leafMs }: AuthorityState): Record<string, string> {
  const facts = { generation, leafMs, nextSinceMs: next?.sinceMs, retired };
  return {
    ...encodeAuthority(signing),
    ...(next && encodeAuthority(next.pem, NEXT)),
    [STATE_KEY]: Buffer.from(JSON.stringify(facts)).toString('base64'),
  };
}

export function isSameState(a: AuthorityState, b: AuthorityState): boolean {
  return JSON.stringify(encodeAuthorityState(a)) === JSON.stringify(encodeAuthorityState(b));
}

/** @throws AuthorityError with what is wrong with it */
export function decodeAuthorityState(data: Readonly<Record<string, unknown>>): AuthorityState {
  const signing = decodeAuthority(data);
  let facts: Record<string, unknown>;
  try {
    facts = JSON.parse(textIn(data, STATE_KEY)) as Record<string, unknown>;
  } catch {
    throw new AuthorityError(`its ${STATE_KEY} is not JSON`);
  }
  const { generation, leafMs, nextSinceMs, retired } = facts;
  const isTime = (value: unknown): value is number => Number.isSafeInteger(value);
  const isRetired = (one: unknown): one is RetiredRoot => {
    const { certificate, untilMs } = (one ?? {}) as Partial<RetiredRoot>;
    return typeof certificate === 'string' && isTime(untilMs);
  };
  if (!isTime(generation) || !isTime(leafMs) || !Array.isArray(retired) || !retired.every(isRetired))
    throw new AuthorityError(`its ${STATE_KEY} is not what the control plane writes`);
  const next = isTime(nextSinceMs) ? { next: { pem: decodeAuthority(data, NEXT), sinceMs: nextSinceMs } } : {};
  return { signing, ...next, retired, generation, leafMs };
}

function textIn(data: Readonly<Record<string, unknown>>, key: string): string {
  const value = data[key];
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : '';
}
