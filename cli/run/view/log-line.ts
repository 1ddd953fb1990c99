// Lines of a pod's processes as the run shows them: prefixed with the pod, JSON of our own programs shortened to text.
// Pure.

import { SIDECAR } from '#local/process/pod.ts';
import type { Style } from '../../print/style.ts';
import { harmless } from '../../print/words.ts';

// Distinguishable on dark and on light backgrounds.
const COLOURS = [36, 33, 35, 32, 34, 31];

/** `index` picks the pod's colour. */
export function logLine(pod: string, part: string, line: string, index: number, style: Style, coloured: boolean): string {
  const name = part === SIDECAR ? `${pod} ${SIDECAR}` : pod;
  const prefix = coloured ? `\u001b[${COLOURS[index % COLOURS.length]}m${name}\u001b[39m` : name;
  const text = part === SIDECAR ? (sidecarText(line, style) ?? harmless(line)) : harmless(line);
  return `${prefix} ${style.dim('|')} ${coloured ? `${text}\u001b[0m` : text.replace(/\u001b\[[0-9;]*m/g, '')}`;
}

/** A JSON line of the control plane, which runs in this process. */
export function ownLine(line: string, style: Style): string {
  return `weft ${style.dim('|')} ${sidecarText(line, style) ?? harmless(line)}`;
}

/**
 * `{"level":"warn","msg":"…","component":"tls","peer":"…"}` → "warn tls: … peer=…"; null if the line is not such JSON.
 */
function sidecarText(line: string, style: Style): string | null {
  if (!line.startsWith('{')) return null;
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line);
  } catch {
    return null;
  }
  const { time: _, level, msg, component, ...fields } = record;
  if (typeof msg !== 'string') return null;
  const word = level === 'info' || typeof level !== 'string' ? '' : `${level === 'debug' ? style.dim(level) : style.bad(level)} `;
  const where = typeof component === 'string' ? `${component}: ` : '';
  const rest = Object.entries(fields).map(
    ([name, value]) => ` ${style.dim(`${name}=`)}${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return harmless(`${word}${where}${msg}${rest.join('')}`);
}
