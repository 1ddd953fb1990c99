// URLs of collectors and the like on the command line.
import { UsageError } from './failure.ts';

/**
 * An http or https URL as the user wrote it, without slashes at its end.
 * @param what names the option in the message, "--jaeger"
 * @throws UsageError that says the nearest valid form
 */
export function httpUrl(text: string, what: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '' && !/[\s\p{C}]/u.test(text)) {
    if (url.search !== '' || url.hash !== '') throw refusal(text, what, text.replace(/[?#].*$/, ''));
    return text.replace(/\/+$/, '');
  }
  // "localhost:4318" is a URL too, whose scheme is "localhost:".
  const guess = `http://${text.replace(/^[a-z]*:?\/\/+/i, '').replace(/[\s\p{C}]/gu, '')}`;
  throw refusal(text, what, URL.canParse(guess) && new URL(guess).hostname !== '' ? guess : null);
}

function refusal(text: string, what: string, guess: string | null): UsageError {
  const hint = guess === null ? 'it is like http://127.0.0.1:4318' : `did you mean ${guess}?`;
  return new UsageError(`${what} ${JSON.stringify(text.slice(0, 200))} is not an http:// or https:// URL: ${hint}`);
}
