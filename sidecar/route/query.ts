// Parameters of a request's query, read as forms write them (the URL standard, application/x-www-form-urlencoded).

const ENCODED = /[+%]/;

/**
 * The value of a parameter, decoded; of several the first (Gateway API, HTTPQueryParamMatch.name). null: it is not
 * there. Text and value are latin1 strings, one character for one octet.
 */
export function queryValue(query: string | null, name: string): string | null {
  if (query === null) return null;
  for (let start = 0; start <= query.length; ) {
    let end = query.indexOf('&', start);
    if (end < 0) end = query.length;
    let equals = query.indexOf('=', start);
    if (equals < 0 || equals > end) equals = end;
    if (end > start && decoded(query.slice(start, equals)) === name) return equals === end ? '' : decoded(query.slice(equals + 1, end));
    start = end + 1;
  }
  return null;
}

/** A percent sign without two digits after it stands for itself. */
function decoded(text: string): string {
  if (!ENCODED.test(text)) return text;
  return text.replaceAll('+', ' ').replace(/%([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
