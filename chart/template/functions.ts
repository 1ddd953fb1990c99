// The functions that the chart's templates may call: each as Go, Sprig or Helm has it, for the types that a chart's
// values have.
import { Document, Scalar, visit } from 'yaml';
import { KUBECTL_WORDS } from '#objects/yaml/schema.ts';

/** What values are: YAML's types, and integers that `int` has made. */
export type Value = string | number | bigint | boolean | null | readonly Value[] | { readonly [name: string]: Value };

/** Go writes float64 from here on as 1e+06: a trap that the chart must not be in. */
const LARGEST_PLAIN_NUMBER = 1_000_000;
/** Below it Go writes 1e-05: shares may be so small, and are read with exponents. */
const LEAST_PLAIN_FRACTION = 0.0001;

/** Whether Go's templates count a value as true: not when it is false, zero, nil or empty. */
export function isTrue(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}

/**
 * A value as Go prints it.
 * @throws Error: a map or list, which Go prints in a form that is no YAML; or a number that Helm would print otherwise
 */
export function printed(value: Value): string {
  if (value === null) return '';
  if (typeof value === 'object') throw new Error('a map or list is printed; it needs toYaml');
  if (typeof value === 'number' && !(Math.abs(value) < LARGEST_PLAIN_NUMBER))
    throw new Error(`Helm would print the number ${value} in another way; it needs "int"`);
  if (typeof value === 'number' && value !== 0 && Math.abs(value) < LEAST_PLAIN_FRACTION)
    return value.toExponential().replace(/-(\d)$/, '-0$1');
  return String(value);
}

type Call = (args: readonly Value[]) => Value;

/** Name → function of its arguments. `and`, `or` and `include` are not here: they need the evaluator. */
export const FUNCTIONS: ReadonlyMap<string, { readonly arity: readonly [least: number, most: number]; readonly call: Call }> = new Map<
  string,
  { arity: [number, number]; call: Call }
>([
  ['not', { arity: [1, 1], call: ([value]) => !isTrue(value) }],
  ['eq', { arity: [2, 2], call: ([a, b]) => same(a, b) }],
  ['ne', { arity: [2, 2], call: ([a, b]) => !same(a, b) }],
  ['default', { arity: [2, 2], call: ([otherwise, value]) => (isTrue(value) ? value : otherwise) }],
  ['quote', { arity: [1, 1], call: ([value]) => (value === null ? '' : escaped(JSON.stringify(printed(value)))) }],
  ['int', { arity: [1, 1], call: ([value]) => integer(value) }],
  ['toYaml', { arity: [1, 1], call: ([value]) => yamlOf(value) }],
  ['nindent', { arity: [2, 2], call: ([spaces, text]) => `\n${indented(Number(integer(spaces)), textOf(text))}` }],
  ['join', { arity: [2, 2], call: ([separator, list]) => listOf(list).map(printed).join(textOf(separator)) }],
  ['hasPrefix', { arity: [2, 2], call: ([prefix, text]) => textOf(text).startsWith(textOf(prefix)) }],
  ['printf', { arity: [1, 9], call: ([format, ...args]) => formatted(textOf(format), args) }],
  ['hasKey', { arity: [2, 2], call: ([map, key]) => Object.hasOwn(mapOf(map), textOf(key)) }],
  ['dict', { arity: [0, 16], call: (args) => dictionary(args) }],
  [
    'fail',
    {
      arity: [1, 1],
      call: ([message]) => {
        throw new Error(textOf(message));
      },
    },
  ],
]);

/** Go refuses to compare what is not of one basic type. */
function same(a: Value, b: Value): boolean {
  if (typeof a !== typeof b || typeof a === 'object') throw new Error(`${typeof a} and ${typeof b} cannot be compared`);
  return a === b;
}

function integer(value: Value): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  throw new Error(`${JSON.stringify(value)} is not an integer`);
}

function textOf(value: Value): string {
  if (typeof value !== 'string') throw new Error(`a string is needed, not ${value === null ? 'nothing' : typeof value}`);
  return value;
}

function listOf(value: Value): readonly Value[] {
  if (!Array.isArray(value)) throw new Error(`a list is needed, not ${value === null ? 'nothing' : typeof value}`);
  return value;
}

function mapOf(value: Value): { readonly [name: string]: Value } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`a map is needed, not ${JSON.stringify(value)}`);
  return value as { readonly [name: string]: Value };
}

/**
 * Line breaks to YAML 1.1 and what no parser shows: in YAML only as escapes. The `yaml` package would write them as
 * they are.
 */
const UNPRINTABLE = /[\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]/g;

/** YAML 1.1, with quotes also where only Helm and kubectl would read another value than text: `yes`, `0o17`. */
export function yamlOf(value: unknown): string {
  const document = new Document(value, { version: '1.1', compat: KUBECTL_WORDS, aliasDuplicateObjects: false });
  visit(document, {
    Scalar: (_, scalar) => {
      if (typeof scalar.value === 'string' && scalar.value.search(UNPRINTABLE) !== -1) scalar.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return escaped(document.toString({ lineWidth: 0 })).trimEnd();
}

/** Only for text in which unprintable characters are within double quotes. */
function escaped(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function indented(spaces: number, text: string): string {
  const pad = ' '.repeat(spaces);
  return text
    .split('\n')
    .map((line) => pad + line)
    .join('\n');
}

function formatted(format: string, args: readonly Value[]): string {
  let next = 0;
  const text = format.replace(/%(.?)/g, (_, verb: string) => {
    if (verb === '%') return '%';
    if (verb !== 's' || next >= args.length) throw new Error(`printf knows %s and %%, one argument each; not ${JSON.stringify(format)}`);
    return textOf(args[next++]);
  });
  if (next !== args.length) throw new Error(`printf has more arguments than ${JSON.stringify(format)} uses`);
  return text;
}

function dictionary(args: readonly Value[]): Value {
  if (args.length % 2 !== 0) throw new Error('dict takes pairs');
  return Object.fromEntries(Array.from({ length: args.length / 2 }, (_, i) => [textOf(args[2 * i]), args[2 * i + 1]]));
}
