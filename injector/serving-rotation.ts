// The webhook's own authority as its Secret keeps it, and when it changes. Pure.
// A year's authority is followed by the next one in its last third: first both are trusted, then the new one signs, the
// old one stays trusted until it ends. At no moment does a replica serve a certificate that the API server does not
// trust yet.
import { checkServingAuthority, notAfterOf, type ServingPair } from '#certs/serving.ts';

const DAY_MS = 24 * 3600_000;
export const AUTHORITY_LIFETIME_MS = 365 * DAY_MS;
/** From the last third on there is a successor. */
const ROTATE_AT = 2 / 3;
/** A successor is trusted this long before it signs: longer than it takes replicas and API servers to hear of it. */
const PROMOTION_DELAY_MS = 10 * 60_000;
/** An authority with less than this left is replaced at once, successor or not: nothing it signs would be of use. */
const SPENT_MS = 3600_000;

export interface ServingState {
  readonly current: ServingPair;
  readonly next?: ServingPair;
  /** PEM certificate: trusted, signs no more. */
  readonly previous?: string;
}

export type RotationStep = 'keep' | 'add next' | 'promote' | 'replace';

/**
 * The next step of the authority's life.
 * @param nextIsTrusted whether the API server is known to trust the successor
 */
export function rotationStep({ current, next }: ServingState, nowMs: number, nextIsTrusted: boolean): RotationStep {
  const { notBeforeMs, notAfterMs } = checkServingAuthority(current);
  if (notAfterMs - nowMs < SPENT_MS) return next === undefined ? 'replace' : 'promote';
  if (next === undefined) return nowMs >= notBeforeMs + (notAfterMs - notBeforeMs) * ROTATE_AT ? 'add next' : 'keep';
  return nextIsTrusted && nowMs >= checkServingAuthority(next).notBeforeMs + PROMOTION_DELAY_MS ? 'promote' : 'keep';
}

/** The state after a step. @param fresh a new authority, for the steps that need one */
export function afterStep(state: ServingState, step: Exclude<RotationStep, 'keep'>, fresh: ServingPair): ServingState {
  if (step === 'add next') return { ...state, next: fresh };
  return { current: step === 'promote' ? state.next! : fresh, previous: state.current.certificate };
}

/** All that may be trusted now, as one PEM text: what the webhook's caBundle holds. */
export function bundleOf({ current, next, previous }: ServingState, nowMs: number): string {
  const others = [next?.certificate, previous].filter((pem) => pem !== undefined && notAfterOf(pem) > nowMs);
  return [current.certificate, ...others].join('');
}

/** The `data` of a Secret. */
export function encodeState({ current, next, previous }: ServingState): Record<string, string> {
  const texts = {
    'ca.crt': current.certificate,
    'ca.key': current.key,
    ...(next && { 'next.crt': next.certificate, 'next.key': next.key }),
    ...(previous !== undefined && { 'previous.crt': previous }),
  };
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
}

/** The state in the `data` of a Secret. @throws AuthorityError when there is no usable authority in it */
export function decodeState(data: Readonly<Record<string, string>>): ServingState {
  const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
  const pair = (name: string): ServingPair => {
    const found = { certificate: text(`${name}.crt`), key: text(`${name}.key`) };
    checkServingAuthority(found);
    return found;
  };
  return {
    current: pair('ca'),
    ...('next.crt' in data && { next: pair('next') }),
    ...(notAfterOf(text('previous.crt')) > 0 && { previous: text('previous.crt') }),
  };
}
