// What a redirect or a rewrite makes of a request's place: its path, and the Location of an answer (Gateway API,
// HTTPRequestRedirectFilter and HTTPURLRewriteFilter).
import type { PathChangeRecord, RedirectRecord } from './records.ts';

/** The parts of a request that make its place. */
export interface RequestPlace {
  readonly scheme: string;
  /** As it came, often with a port. */
  readonly authority: string;
  /** With its query. */
  readonly path: string;
}

const USUAL_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** A path after a change; the query stays. */
export function changedPath(change: PathChangeRecord | null, path: string): string {
  if (change === null) return path;
  const mark = path.indexOf('?');
  const query = mark < 0 ? '' : path.slice(mark);
  if (change.kind === 'full') return `${change.path}${query}`;
  const rest = (mark < 0 ? path : path.slice(0, mark)).slice(change.matched.length);
  return `${change.replacement}${rest}` === '' ? `/${query}` : `${change.replacement}${rest}${query}`;
}

/**
 * Where a redirect leads. Without a port it is that of the scheme if the redirect names one, else the port that was
 * called; one that the scheme implies is left out (HTTPRequestRedirectFilter.port).
 * @param servicePort that was called
 */
export function locationOf(redirect: RedirectRecord, { scheme: came, authority, path }: RequestPlace, servicePort: number): string {
  const scheme = redirect.scheme || came;
  const port = redirect.port || (redirect.scheme === '' ? servicePort : (USUAL_PORTS[scheme] ?? servicePort));
  const host = redirect.hostname || hostOf(authority);
  return `${scheme}://${host}${port === USUAL_PORTS[scheme] ? '' : `:${port}`}${changedPath(redirect.path, path)}`;
}

/** An authority without its port; an IPv6 address keeps its brackets. */
export function hostOf(authority: string): string {
  return authority.replace(/:[0-9]*$/, '');
}
