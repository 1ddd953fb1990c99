// Lists of ports as annotations hold them: `25,587,8000-8100`.

const MOST_PORTS = 65_535;
// A pod's environment carries the list; nobody needs more.
const MOST_RANGES = 200;

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The ranges of a list; an empty text is an empty list.
 * @throws RangeError naming the wrong part
 */
export function parsePortList(text: string): PortRange[] {
  if (text.trim() === '') return [];
  const parts = text.split(',');
  if (parts.length > MOST_RANGES) throw new RangeError(`more than ${MOST_RANGES} ports or ranges`);
  return parts.map((part) => {
    const match = /^\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?$/.exec(part);
    if (match === null) throw new RangeError(`${JSON.stringify(part.trim())} is neither a port nor a range such as 8000-8100`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (first < 1 || last > MOST_PORTS) throw new RangeError(`${JSON.stringify(part.trim())}: ports go from 1 to ${MOST_PORTS}`);
    if (first > last) throw new RangeError(`${JSON.stringify(part.trim())} ends before it begins, did you mean "${last}-${first}"?`);
    return { first, last };
  });
}

/** The shortest text of the same list: what programs are handed. */
export function formatPortList(ranges: readonly PortRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

export function containsPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => first <= port && port <= last);
}
