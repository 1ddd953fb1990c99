// Numbers as people read them, and text that fits a terminal. Pure.

/** "201/s", "1.2k/s", "0.4/s". */
export function rateText(rate: number): string {
  if (rate >= 1000) return `${(rate / 1000).toFixed(1)}k/s`;
  return rate === 0 || rate >= 10 ? `${Math.round(rate)}/s` : `${rate.toFixed(1)}/s`;
}

/** "1.23 ms", "12.3 ms", "123 ms", "1.2 s"; "–" without calls. */
export function latencyText(ms: number | null): string {
  if (ms === null) return '–';
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : 2)} ms`;
}

/** "90.1 %". What is not quite all is never rounded up to it. */
export function shareText(share: number | null): string {
  if (share === null) return '–';
  const percent = share * 100;
  const shown = percent < 100 ? Math.min(percent, 99.9) : 100;
  return `${shown.toFixed(shown === 100 || shown === 0 ? 0 : 1)} %`;
}

/** "0:07", "12:03", "1:02:03". */
export function clockText(seconds: number): string {
  const whole = Math.floor(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar of `width` columns at 1, with eighths of a column. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

const SGR = /\u001b\[[0-9;]*m/g;

/** Columns that a text takes; colours take none. */
export function widthOf(text: string): number {
  return [...text.replace(SGR, '')].length;
}

/** Cuts to `columns`, colours kept and closed, an ellipsis where something is missing. */
export function truncate(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let out = '';
  let room = columns - 1;
  for (const part of text.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b[')) out += part;
    else {
      const shown = [...part].slice(0, room);
      room -= shown.length;
      out += shown.join('');
      if (room <= 0) break;
    }
  }
  return `${out}…${/\u001b/.test(text) ? '\u001b[0m' : ''}`;
}

/** Pads with spaces on the right to `columns`. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - widthOf(text)));
}

/** Pads on the left. */
export function padLeft(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - widthOf(text))) + text;
}

/**
 * Drops what could drive a terminal (cursor movements, titles, other control characters) but keeps colours: output of
 * containers is shown raw.
 */
export function harmless(text: string): string {
  return text
    .replace(/\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?/g, '')
    .replace(/\u001b\[[0-9;?<=>]*[ -/]*[@-ln-~]/g, '')
    .replace(/\u001b(?!\[[0-9;]*m)/g, '')
    .replace(/\t/g, '  ')
    .replace(/[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/g, '');
}
