// What `weft ca` prints: the authority, the phase that its replacement is in, what that waits for and until when. Pure.
import type { AuthorityCertificateView, AuthorityView } from '#core/contract/view.ts';
import { spanText } from '../print/span.ts';
import type { Style } from '../print/style.ts';
import { harmless } from '../print/words.ts';
import { type AuthorityStanding, whyNoFinish } from './standing.ts';

const LABEL_WIDTH = 12;

export function layOutAuthority(standing: AuthorityStanding, nowMs: number, style: Style): string[] {
  const { authority, behind } = standing;
  if (authority === null) return ['no control plane says how the authority stands'];
  const line = (label: string, text: string): string => style.dim(label.padEnd(LABEL_WIDTH)) + harmless(text);
  return [
    line('authority', certificateText(authority.signing, nowMs)),
    line('renewed by', renewalText(authority, nowMs)),
    line('phase', phaseText(authority, nowMs)),
    ...(authority.next === null ? [] : [line('next', certificateText(authority.next, nowMs))]),
    ...authority.waitsFor.map((text) => line('waits for', text)),
    ...authority.retired.map(({ subject, untilMs }) => line('old root', `${subject}, dropped ${momentText(untilMs, nowMs)}`)),
    ...(authority.phase !== 'retiring' ? [] : [line('finish', finishText(standing))]),
    ...behind.map((pod) => line('behind', `${pod} has not heard of the newest step`)),
    ...(authority.refused === '' ? [] : [style.bad(line('refused', `what is in the Secret cannot be used: ${authority.refused}`))]),
  ];
}

function certificateText({ subject, root, id, notAfterMs }: AuthorityCertificateView, nowMs: number): string {
  const under = root === subject ? '' : ` under ${root}`;
  return `${subject}${under} (${id}), good until ${momentText(notAfterMs, nowMs)}`;
}

function renewalText({ managedBy, rotatesAtMs }: AuthorityView, nowMs: number): string {
  if (rotatesAtMs > 0) return `Weft itself, ${momentText(rotatesAtMs, nowMs)}`;
  return managedBy === '' ? 'whoever put it into the Secret' : managedBy;
}

function phaseText({ phase, sinceMs, roots }: AuthorityView, nowMs: number): string {
  const trusted = `${roots} ${roots === 1 ? 'root is' : 'roots are'} trusted`;
  switch (phase) {
    case 'steady':
      return `steady: one authority signs, ${trusted}`;
    case 'distributing':
      return `distributing for ${spanText(Math.max(0, nowMs - sinceMs))}: the next one signs when all that are there trust its root; ${trusted}`;
    case 'retiring':
      return `retiring: the new one signs, old roots stay until no certificate of theirs can live; ${trusted}`;
  }
}

function finishText(standing: AuthorityStanding): string {
  const why = whyNoFinish(standing);
  return why === '' ? 'possible now, no certificate of an old root is in use: weft ca finish' : why;
}

/** "2026-12-02T03:04:05.000Z (in 23h)". */
function momentText(atMs: number, nowMs: number): string {
  const span = atMs > nowMs ? `in ${spanText(atMs - nowMs)}` : `${spanText(nowMs - atMs)} ago`;
  return `${new Date(atMs).toISOString()} (${span})`;
}
