// One line of `weft check`: what was looked at, how it is, and what to do about it.

export type State = 'ok' | 'warning' | 'failed' | 'skipped';

export const CATEGORIES = ['Kubernetes', 'Gateway API', 'Control plane', 'Injector', 'Namespaces', 'Sidecars', 'Routes'] as const;
export type Category = (typeof CATEGORIES)[number];

export interface Check {
  readonly category: Category;
  /** Stable, for programs: `webhook-ca-bundle`. */
  readonly id: string;
  readonly state: State;
  /** One line that holds by itself. */
  readonly text: string;
  /** Which objects, one a line; at most MOST_DETAILS and a line that counts the rest. */
  readonly details: readonly string[];
  /** What to do; '' where there is nothing to do. */
  readonly hint: string;
}

/** Of a check that names objects, so many are named. */
export const MOST_DETAILS = 10;

type More = { readonly details?: readonly string[]; readonly hint?: string };
type Make = (id: string, text: string, more?: More) => Check;

/** The makers of one category's checks. */
export function checksOf(category: Category): Readonly<Record<State, Make>> {
  const make =
    (state: State): Make =>
    (id, text, { details = [], hint = '' } = {}) => ({ category, id, state, text, details: few(details), hint });
  return { ok: make('ok'), warning: make('warning'), failed: make('failed'), skipped: make('skipped') };
}

function few(details: readonly string[]): readonly string[] {
  if (details.length <= MOST_DETAILS) return details;
  return [...details.slice(0, MOST_DETAILS), `and ${details.length - MOST_DETAILS} more`];
}

/** "1 pod", "2 pods". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
