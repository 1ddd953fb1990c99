// Colours for people: only on a terminal, and never against their will (https://no-color.org).

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  accent(text: string): string;
}

const plain = (text: string): string => text;

export const PLAIN: Style = { bold: plain, dim: plain, good: plain, bad: plain, accent: plain };

const sgr =
  (open: number, close: number) =>
  (text: string): string =>
    text === '' ? '' : `\u001b[${open}m${text}\u001b[${close}m`;

export const COLOURED: Style = { bold: sgr(1, 22), dim: sgr(2, 22), good: sgr(32, 39), bad: sgr(31, 39), accent: sgr(36, 39) };

/** The style for a stream. An empty NO_COLOR counts as not set, as its convention has it; TERM=dumb has no colours. */
export function styleFor(stream: { isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): Style {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb' ? COLOURED : PLAIN;
}
