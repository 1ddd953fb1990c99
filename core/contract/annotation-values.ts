// Readers of what annotations and the injector's settings may hold. Each throws a RangeError saying what the text must
// be, with the nearest valid form.

import { nearest } from '../text/nearest.ts';
import { isLogLevel, LOG_LEVELS } from './log-levels.ts';
import { formatPortRanges, parsePortRanges } from './port-ranges.ts';
import { parseQuantity } from './quantity.ts';

/** The sidecar takes no more (WEFT_DRAIN_SECONDS). */
const LONGEST_DRAIN_SECONDS = 3600;

/** A list of ports and ranges; the shortest text of the same list. */
export function readPorts(text: string): string {
  const { ranges, problems } = parsePortRanges(text);
  if (problems.length > 0) throw new RangeError(problems[0]);
  return formatPortRanges(ranges);
}

export function readLogLevel(text: string): string {
  if (isLogLevel(text)) return text;
  const near = nearest(text, LOG_LEVELS);
  throw new RangeError(`it must be one of ${LOG_LEVELS.join(', ')}${near === undefined ? '' : `, did you mean ${near}?`}`);
}

export function readDrainSeconds(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= LONGEST_DRAIN_SECONDS) return Number(text);
  const near = /^\d+s$/.test(text) ? `, did you mean ${text.slice(0, -1)}?` : '';
  throw new RangeError(`it must be whole seconds from 0 to ${LONGEST_DRAIN_SECONDS}${near}`);
}

/** A Kubernetes quantity; an empty text takes a default away. */
export function readQuantity(text: string): string {
  if (text === '' || parseQuantity(text) !== null) return text;
  const near = text.replace(/\s+/g, '').replace(/([kmgt])i?b$/i, (_, unit: string) => `${unit.toUpperCase()}i`);
  const hint = near !== text && parseQuantity(near) !== null ? `, did you mean ${near}?` : '';
  throw new RangeError(`it must be a quantity such as 100m or 64Mi${hint}`);
}

export function readImage(text: string): string {
  if (/^[A-Za-z0-9][\w.\-/:@]{0,511}$/.test(text)) return text;
  throw new RangeError('it must be the name of an image such as registry.example/weft:1.0');
}
