// What a CORS filter answers: to a preflight by itself, and in the headers of endpoints' answers (the Fetch standard,
// "CORS protocol"; Gateway API, HTTPCORSFilter).
import { headerValue } from './match.ts';
import type { CorsRecord, HeaderEdit, HeaderList } from './records.ts';

/** Headers of the protocol: with this filter the proxy alone says them. */
const OWN_HEADERS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-expose-headers',
  'access-control-max-age',
];

/** Whether a request asks what another one may do: OPTIONS with an origin and a method. */
export function isPreflight(method: string, headers: HeaderList): boolean {
  return method === 'OPTIONS' && headerValue(headers, 'origin') !== null && headerValue(headers, 'access-control-request-method') !== null;
}

/** The headers that answer a preflight; those of an origin that is not allowed say nothing, and its browser refuses. */
export function preflightHeaders(cors: CorsRecord, headers: HeaderList): string[] {
  const origin = headerValue(headers, 'origin')!;
  const vary = ['vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'];
  if (!allowsOrigin(cors, origin)) return vary;
  const method = headerValue(headers, 'access-control-request-method')!;
  const asked = headerValue(headers, 'access-control-request-headers');
  const answer = [...originHeaders(cors, origin), ...vary];
  // With credentials a browser takes "*" by the letter, so what was asked is named instead.
  const methods = cors.methods === null ? (cors.credentials ? method : '*') : cors.methods.join(', ');
  if (methods !== '') answer.push('access-control-allow-methods', methods);
  const names = cors.headers === null ? (cors.credentials ? (asked ?? '') : '*') : cors.headers.join(', ');
  if (names !== '') answer.push('access-control-allow-headers', names);
  answer.push('access-control-max-age', `${cors.maxAgeSeconds}`);
  return answer;
}

/** The edits of an answer to an actual request. @param origin null: the request has none */
export function corsEdits(cors: CorsRecord, origin: string | null): HeaderEdit[] {
  const edits: HeaderEdit[] = OWN_HEADERS.map((name) => ({ op: 'remove', name, value: '' }));
  if (!cors.anyOrigin || cors.credentials) edits.push({ op: 'add', name: 'vary', value: 'Origin' });
  if (origin === null || !allowsOrigin(cors, origin)) return edits;
  const list = originHeaders(cors, origin);
  if (cors.expose !== '') list.push('access-control-expose-headers', cors.expose);
  for (let i = 0; i < list.length; i += 2) edits.push({ op: 'set', name: list[i], value: list[i + 1] });
  return edits;
}

function originHeaders(cors: CorsRecord, origin: string): string[] {
  const allowed = ['access-control-allow-origin', cors.anyOrigin && !cors.credentials ? '*' : origin];
  return cors.credentials ? [...allowed, 'access-control-allow-credentials', 'true'] : allowed;
}

function allowsOrigin({ anyOrigin, origins }: CorsRecord, origin: string): boolean {
  return anyOrigin || origins.some(({ test }) => test(origin));
}
