// Checks values against the chart's values.schema.json: the part of JSON Schema that it uses, with messages that name
// the nearest right key.
import { didYouMean, nearest } from '#core/text/nearest.ts';

/** The keywords that are honoured; a test sees to it that the chart's schema has no others. */
export interface Schema {
  readonly $schema?: string;
  readonly title?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
}

export const SCHEMA_KEYWORDS: readonly (keyof Schema)[] = [
  '$schema',
  'title',
  'type',
  'enum',
  'properties',
  'additionalProperties',
  'required',
  'items',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'pattern',
];

/** What is wrong with the values, one sentence each; empty: nothing. */
export function problemsOf(values: unknown, schema: Schema): string[] {
  const known = leafPaths(schema);
  return check(values, schema, '', known);
}

/** The schema of one key, if there is such a key. */
export function schemaAt(schema: Schema, path: readonly string[]): Schema | undefined {
  let at: Schema | undefined = schema;
  for (const key of path) {
    if (at === undefined) return undefined;
    at = own(at.properties, key) ?? (typeof at.additionalProperties === 'object' ? at.additionalProperties : undefined);
  }
  return at;
}

export function typesOf({ type }: Schema): readonly string[] {
  return type === undefined ? [] : typeof type === 'string' ? [type] : type;
}

function check(value: unknown, schema: Schema, path: string, known: readonly string[]): string[] {
  const types = typesOf(schema);
  const type = typeOf(value);
  if (types.length > 0 && !types.includes(type) && !(type === 'integer' && types.includes('number')))
    return [`${path || 'the values'} must be ${types.map(article).join(' or ')}, not ${shown(value)}`];
  if (schema.enum !== undefined && !schema.enum.includes(value as string))
    return [`${path} must be one of ${schema.enum.join(', ')}, not ${shown(value)}${didYouMean(String(value), schema.enum)}`];
  switch (type) {
    case 'object':
      return checkObject(value as Record<string, unknown>, schema, path, known);
    case 'array':
      return (value as unknown[]).flatMap((item, i) => check(item, schema.items ?? {}, `${path}[${i}]`, known));
    case 'string':
      return checkString(value as string, schema, path);
    default: {
      const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
      const fits = typeof value !== 'number' || (value >= minimum && value <= maximum);
      return fits ? [] : [`${path} must be from ${minimum} to ${maximum}, not ${value}`];
    }
  }
}

function checkObject(value: Record<string, unknown>, schema: Schema, path: string, known: readonly string[]): string[] {
  const problems: string[] = [];
  for (const [key, part] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const named = own(schema.properties, key);
    if (named !== undefined) problems.push(...check(part, named, at, known));
    else if (schema.additionalProperties === false) problems.push(`there is no value ${at}${suggestion(at, key, schema, path, known)}`);
    else if (typeof schema.additionalProperties === 'object') problems.push(...check(part, schema.additionalProperties, at, known));
  }
  for (const key of schema.required ?? [])
    if (!Object.hasOwn(value, key)) problems.push(`${path === '' ? key : `${path}.${key}`} must not be null: leave it out for its default`);
  return problems;
}

/** Another key of the same block, or the same key in another block. */
function suggestion(at: string, key: string, schema: Schema, path: string, known: readonly string[]): string {
  const siblings = Object.keys(schema.properties ?? {});
  const sibling = nearest(key, siblings) ?? siblings.find((one) => one.startsWith(key));
  if (sibling !== undefined) return `, did you mean "${path === '' ? sibling : `${path}.${sibling}`}"?`;
  const elsewhere = known.filter((one) => one === key || one.endsWith(`.${key}`));
  if (elsewhere.length > 0) return `, did you mean ${elsewhere.map((one) => `"${one}"`).join(' or ')}?`;
  return didYouMean(at, known);
}

function checkString(value: string, { pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Schema, path: string): string[] {
  if (value.length < minLength) return [`${path} must not be empty`];
  if (value.length > maxLength) return [`${path} must have at most ${maxLength} characters`];
  return pattern !== undefined && !new RegExp(pattern, 'u').test(value) ? [`${path}: ${shown(value)} does not match ${pattern}`] : [];
}

function leafPaths(schema: Schema, path = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, part]) => {
    const at = path === '' ? key : `${path}.${key}`;
    return [at, ...leafPaths(part, at)];
  });
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function article(type: string): string {
  const words: Readonly<Record<string, string>> = {
    integer: 'an integer',
    array: 'a list',
    object: 'a map',
    boolean: 'true or false',
    string: 'a string',
  };
  return words[type] ?? `a ${type}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function own<T>(map: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}
