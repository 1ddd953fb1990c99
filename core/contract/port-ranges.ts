// Lists of ports as people write them in annotations and environment variables: "80,8000-8100" (pure).

/** Both ends belong to it; one port is a range of one. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Ports that are opaque unless something is said of them: protocols whose server speaks first,or that look like others: SMTP, MySQL, PostgreSQL, Galera, Redis, Elasticsearch,
 * Memcached.
 */
export const DEFAULT_OPAQUE_PORTS = '25,587,3306,4444,5432,6379,9300,11211';
const MOST_PORTS = 65_535;
// A pod's environment carries such lists, so they stay short.
const MOST_RANGES = 200;

/**
 * Reads a comma list of ports and ranges; spaces do not matter, an empty list has no ranges.
 * @returns the ranges that can be used, in order, overlapping ones merged; and one message per mistake, without the
 *   setting's name
 */
export function parsePortRanges(text: string): { ranges: PortRange[]; problems: string[] } {
  const ranges: PortRange[] = [];
  const problems: string[] = [];
  if (text.trim() === '') return { ranges, problems };
  const parts = text.split(',');
  if (parts.length > MOST_RANGES) return { ranges, problems: [`more than ${MOST_RANGES} ports or ranges`] };
  for (const part of parts) {
    const item = part.trim();
    const shown = JSON.stringify(item);
    const match = /^(\d{1,6})(?:\s*-\s*(\d{1,6}))?$/.exec(item);
    if (match === null) {
      problems.push(`${shown} is neither a port nor a range such as 8000-8100`);
      continue;
    }
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    if (from < 1 || from > MOST_PORTS || to < 1 || to > MOST_PORTS) problems.push(`${shown}: ports go from 1 to ${MOST_PORTS}`);
    else if (from > to) problems.push(`${shown} ends before it begins, did you mean "${to}-${from}"?`);
    else ranges.push({ from, to });
  }
  return { ranges: merged(ranges), problems };
}

/** The shortest text of the same list. */
export function formatPortRanges(ranges: readonly PortRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

/** Whether a port is in one of the ranges. */
export function includesPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ from, to }) => from <= port && port <= to);
}

// The kernel's interval sets refuse overlaps.
function merged(ranges: readonly PortRange[]): PortRange[] {
  const result: { from: number; to: number }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else result.push({ from, to });
  }
  return result;
}
