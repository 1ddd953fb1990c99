// The values that the chart is rendered with: its own, then files, then --set, each on top of the last as Helm lays
// them.
import { parseDocument } from 'yaml';
import { KUBECTL_YAML } from '#objects/yaml/schema.ts';
import { type Schema, schemaAt, typesOf } from './schema.ts';

export type Values = Readonly<Record<string, unknown>>;

/** Values that cannot be read: said with the file or the words. */
export class ValuesError extends Error {
  override readonly name = 'ValuesError';
}

/** Parts of a key path. */
const MAX_DEPTH = 16;

/**
 * A values file, or the chart's defaults.
 * @param file for messages
 * @throws ValuesError
 */
export function parseValues(text: string, file: string): Values {
  const document = parseDocument(text, KUBECTL_YAML);
  const [error] = document.errors;
  if (error !== undefined) throw new ValuesError(`${file}: ${error.message.split('\n')[0].replace(/:$/, '')}`);
  const values: unknown = document.toJS();
  if (values === null || values === undefined) return {};
  if (!isMap(values)) throw new ValuesError(`${file}: a map of values is needed, like "controlPlane: { replicas: 2 }"`);
  return values;
}

/** `over` laid upon `base`: maps are merged, everything else replaced; null removes a key. */
export function mergeValues(base: Values, over: Values): Values {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const before = merged.get(key);
    if (value === null) merged.delete(key);
    else merged.set(key, isMap(value) ? mergeValues(isMap(before) ? before : {}, value) : value);
  }
  // From entries: a key called __proto__ is a key like any other.
  return Object.fromEntries(merged);
}

/**
 * One `--set a.b=c`, in Helm's notation: several by commas, `{x,y}` for a list, a backslash before a comma or dot that
 * is meant itself. true, false, null and integers are those, unless the schema wants a string there.
 * @throws ValuesError
 */
export function parseSet(words: string, schema: Schema): Values {
  return splitOutside(words, ',').reduce<Values>((values, assignment) => mergeKeepingNull(values, parseAssignment(assignment, schema)), {});
}

function parseAssignment(assignment: string, schema: Schema): Values {
  const [left, ...right] = splitOutside(assignment, '=');
  if (right.length === 0) throw new ValuesError(`--set ${assignment}: "=" is missing; a comma within a value is written \\,`);
  const path = splitOutside(left, '.').map(unescaped);
  if (path.length > MAX_DEPTH || path.some((key) => key === ''))
    throw new ValuesError(`--set ${assignment}: ${left || 'nothing'} is not a key`);
  if (path.some((key) => /\[\d+\]$/.test(key)))
    throw new ValuesError(`--set ${assignment}: a list is set as a whole, ${left.replace(/\[.*/, '')}={a,b}, or in a --values file`);
  const text = right.join('=');
  const at = schemaAt(schema, path);
  const value =
    text.startsWith('{') && text.endsWith('}')
      ? splitOutside(text.slice(1, -1), ',')
          .filter((item) => item !== '')
          .map((item) => typed(item, at?.items))
      : typed(text, at);
  return path.reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value) as Values;
}

function typed(text: string, schema: Schema | undefined): unknown {
  const value = unescaped(text);
  const types = schema === undefined ? [] : typesOf(schema);
  if (value === 'null') return null;
  if (types.length === 1 && types[0] === 'string') return value;
  if (value === 'true' || value === 'false') return value === 'true';
  return /^(0|-?[1-9][0-9]{0,14})$/.test(value) ? Number(value) : value;
}

/** As mergeValues, but a null stays: it is to remove a default later. */
function mergeKeepingNull(base: Values, over: Values): Values {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const before = merged.get(key);
    merged.set(key, isMap(value) && isMap(before) ? mergeKeepingNull(before, value) : value);
  }
  return Object.fromEntries(merged);
}

/** Splits where the separator is neither escaped nor in braces; what is escaped stays escaped. */
function splitOutside(text: string, separator: string): string[] {
  const parts = [''];
  let braces = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '\\' && i + 1 < text.length) parts[parts.length - 1] += char + text[++i];
    else if (char === separator && braces === 0) parts.push('');
    else {
      if (char === '{') braces++;
      if (char === '}') braces--;
      parts[parts.length - 1] += char;
    }
  }
  return parts;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, '$1');
}

function isMap(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
