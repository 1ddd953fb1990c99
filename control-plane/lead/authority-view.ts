// What a person sees of the authority, and when one that Weft has made is followed by another. Pure.
import { X509Certificate } from 'node:crypto';
import type { Authority } from '#certs/authority.ts';
import { distinguishedName } from '#certs/authority-chain.ts';
import type { AuthorityCertificateView, AuthorityView } from '#core/contract/view.ts';
import type { HeldAuthority } from '../issue/held-authority.ts';

/** An authority of Weft's own is followed by another in this part of its life; when exactly is different for each. */
const ROTATE_AT = 2 / 3;
const ROTATE_SPREAD = 0.05;

/** Unix ms; Infinity: never, because others have made it. */
export function rotatesAtMs({ certificate, root, id, trustDomain, notBeforeMs, notAfterMs }: Authority): number {
  const isOwn = certificate === root && certificate.subject === `O=weft\nCN=${trustDomain}`;
  if (!isOwn) return Infinity;
  // Taken from its hash, so that all replicas and restarts agree.
  const spread = ROTATE_SPREAD * (Number.parseInt(id.slice(0, 8), 16) / 2 ** 32);
  return Math.round(notBeforeMs + (notAfterMs - notBeforeMs) * (ROTATE_AT + spread));
}

export interface AuthorityAround {
  readonly waits: { readonly trust: readonly string[]; readonly leaves: readonly string[] };
  /** Why what is wanted cannot be used; '' when it can. */
  readonly refused: string;
  /** '' for Weft itself. */
  readonly managedBy: string;
}

export function viewOfAuthority(inUse: HeldAuthority, { waits, refused, managedBy }: AuthorityAround): AuthorityView {
  const { state, signing, next } = inUse;
  const rotatesMs = rotatesAtMs(signing);
  const ownAtMs = rotatesMs === Infinity || managedBy !== '' ? 0 : rotatesMs;
  return {
    phase: next !== undefined ? 'distributing' : state.retired.length > 0 ? 'retiring' : 'steady',
    signing: viewOf(signing),
    next: next === undefined ? null : viewOf(next),
    managedBy: ownAtMs > 0 ? 'Weft' : managedBy,
    rotatesAtMs: ownAtMs,
    sinceMs: state.next?.sinceMs ?? 0,
    retired: state.retired.map(({ certificate, untilMs }) => ({ subject: nameOf(new X509Certificate(certificate)), untilMs })),
    roots: inUse.roots().length,
    generation: inUse.generation,
    waitsFor: [...waits.trust],
    leavesOfOld: [...waits.leaves],
    refused,
  };
}

function viewOf({ id, certificate, root, notAfterMs }: Authority): AuthorityCertificateView {
  return { id, subject: nameOf(certificate), root: nameOf(root), notAfterMs };
}

function nameOf({ subject }: X509Certificate): string {
  return distinguishedName(subject);
}
