// The value of the annotation weft.dev/trace-sampling: which share of the traces that begin here is recorded.

/** The share where none is given: one trace in a hundred. */
export const DEFAULT_TRACE_SAMPLING = 0.01;

const LONGEST_SHOWN = 40;

/**
 * "0.05" and "5%" are the same.
 * @returns 0 (none) to 1 (all)
 * @throws RangeError saying what it must be, with the nearest valid form
 */
export function parseTraceSampling(text: string): number {
  const share = shareOf(text);
  if (share !== undefined && share >= 0 && share <= 1) return share;
  const near = nearestForm(text, share);
  throw new RangeError(`it must be a share from 0 to 1 or from 0% to 100%${near === undefined ? '' : `, did you mean ${near}?`}`);
}

function shareOf(text: string): number | undefined {
  if (text.length > LONGEST_SHOWN) return undefined;
  // Exponents: that is how Helm and JSON write small numbers.
  const found = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%?)$/i.exec(text);
  if (found === null) return undefined;
  // 7% is 0.07, not 0.07000000000000001.
  return found[2] === '%' ? Number((Number(found[1]) / 100).toPrecision(15)) : Number(found[1]);
}

function nearestForm(text: string, share: number | undefined): string | undefined {
  if (share !== undefined) {
    // "5" was meant as a percentage; "150%" and "-1" as the nearest end.
    if (share > 1 && share <= 100 && !text.endsWith('%')) return `${text}%`;
    return share < 0 ? '0' : '1';
  }
  const plain = text
    .replace(/\s+/g, '')
    .replace(/(percent|pct)$/i, '%')
    .replace(',', '.');
  const mended = shareOf(plain);
  return mended !== undefined && mended >= 0 && mended <= 1 ? plain : undefined;
}
