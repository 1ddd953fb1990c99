// Names of headers in routes: what may be one, and which of them a filter may not touch.
import { CONNECTION_HEADERS, HEADER_NAME } from '#core/contract/header-names.ts';
import { quote } from '#core/text/printable.ts';
import { textOf } from '#objects/fields.ts';
import type { Findings } from './findings.ts';
import type { RouteTraits } from './traits.ts';

const LONGEST_NAME = 256;

/** The lower-case form of a header name; undefined after noting a fault: it is none. Pseudo-headers are none. */
export function headerNameOf(value: unknown, where: string, findings: Findings): string | undefined {
  const name = textOf(value)?.toLowerCase();
  if (name === undefined || name === '') findings.fault(where, `the header's name must be text, not ${quote(value)}`);
  else if (name.length > LONGEST_NAME)
    findings.fault(where, `the header's name has ${name.length} characters, at most ${LONGEST_NAME} are taken`);
  else if (name.startsWith(':')) findings.fault(where, `${quote(value)} is a pseudo-header of HTTP/2 and not to be named in a route`);
  else if (!HEADER_NAME.test(name)) findings.fault(where, `${quote(value)} is not a header name`);
  else return name;
  return undefined;
}

/** Why a filter may not edit a header (lower case); undefined: it may. */
export function whyUntouchable(name: string, { ownHeaders, speaks }: RouteTraits): string | undefined {
  if (CONNECTION_HEADERS.has(name)) return `the header ${name} belongs to the connection and cannot be edited`;
  if (ownHeaders.has(name)) return `the header ${name} belongs to ${speaks} and cannot be edited`;
  return undefined;
}
