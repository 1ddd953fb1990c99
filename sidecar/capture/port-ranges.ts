// Lists of ports as people write them in annotations and environment variables: "80,8000-8100" (pure).

/** Both ends belong to it; one port is a range of one. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Reads a comma list of ports and ranges; spaces do not matter, an empty list has no ranges.
 * @param name of the setting, for the messages
 * @returns the ranges that can be used, in order, overlapping ones merged; and one message per mistake
 */
export function parsePortRanges(name: string, text: string): { ranges: PortRange[]; problems: string[] } {
  const ranges: PortRange[] = [];
  const problems: string[] = [];
  if (text.trim() === '') return { ranges, problems };
  for (const part of text.split(',')) {
    const item = part.trim();
    const match = /^(\d{1,6})(?:\s*-\s*(\d{1,6}))?$/.exec(item);
    if (match === null) {
      const what = item === '' ? 'there is an empty entry' : `"${item}" is neither a port nor a range`;
      problems.push(`${name}: ${what}; write ports and ranges separated by commas, such as "80,8000-8100"`);
      continue;
    }
    const from = Number(match[1]);
    const to = match[2] === undefined ? from : Number(match[2]);
    const outside = [from, to].find((port) => port < 1 || port > 65535);
    if (outside !== undefined) problems.push(`${name}: "${item}": ${outside} is no port; ports are 1 to 65535`);
    else if (from > to) problems.push(`${name}: "${item}" ends before it begins; did you mean "${to}-${from}"?`);
    else ranges.push({ from, to });
  }
  return { ranges: merged(ranges), problems };
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
