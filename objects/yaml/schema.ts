// Which value a word of YAML has for kubectl and Helm. Both read through sigs.k8s.io/yaml, which is neither YAML 1.1
// nor 1.2: `yes` is true and `0400` is octal as in 1.1, `0o17` is octal as in 1.2, `1:30` and dates are text as in
// neither. test/objects/yaml/documents.test.ts has the table, each line measured with kubectl.
import {
  type Alias,
  type DocumentOptions,
  isAlias,
  isMap,
  isSeq,
  type Node,
  type ParseOptions,
  Scalar,
  type ScalarTag,
  type SchemaOptions,
  type ToJSOptions,
} from 'yaml';

/** What a word means, and how it is written: as it was read where it still means its value. */
function word(tag: string, test: RegExp, meaning: (source: string) => unknown, has?: (value: unknown) => boolean): ScalarTag {
  return {
    tag: `tag:yaml.org,2002:${tag}`,
    default: true,
    test,
    identify: has,
    resolve: meaning,
    stringify: ({ source, value }) => (source !== undefined && meaning(source) === value ? source : String(value)),
  };
}

const bool = word(
  'bool',
  /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/,
  (source) => /^(?:[yYtT]|[oO][nN])/.test(source),
  (value) => typeof value === 'boolean',
);

// Underscores may stand anywhere behind the first digit or sign. A zero in front makes a number octal; `08`, which
// cannot be that, is 8.
const int = word(
  'int',
  /^(?=[-+0-9])[-+]?_*(?:0_*[bB]_*[01][01_]*|0_*[oO]_*[0-7][0-7_]*|0_*[xX]_*[\da-fA-F][\da-fA-F_]*|0[0-7_]*|[1-9][\d_]*)$/,
  (source) => {
    const [, sign, digits] = /^([-+]?)(.*)$/.exec(source.replaceAll('_', ''))!;
    const value = Number(/^0[0-7]/.test(digits) ? `0o${digits}` : digits);
    return sign === '-' && value !== 0 ? -value : value;
  },
  Number.isInteger,
);

// A number beyond the range of a double is text, as is one of base 60. No part of the pattern can match in two ways, so
// that a long word costs time in proportion to its length.
const float = word(
  'float',
  /^(?:(?=[-+0-9])[-+]?_*(?:\._*\d[\d_]*|\d[\d_]*(?:\.[\d_]*)?)(?:[eE]_*(?:[-+]_*)?\d[\d_]*)?|\.\d+(?:_\d+)*(?:[eE][-+]?\d+(?:_\d+)*)?)$/,
  (source) => {
    const value = Number(source.replaceAll('_', ''));
    return Number.isFinite(value) ? value : source;
  },
  (value) => typeof value === 'number',
);

const unwritable: ScalarTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  test: /^(?:[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN)$/,
  resolve: (source, onError) => {
    onError(`${source} is no number in JSON`);
    return source;
  },
};

const binary: ScalarTag = {
  tag: 'tag:yaml.org,2002:binary',
  default: false,
  resolve: (source) => Buffer.from(source, 'base64').toString('utf8'),
  stringify: ({ value }) => Buffer.from(String(value), 'utf8').toString('base64'),
};

type Merge = NonNullable<Node['addToJSMap']>;
type Target = Parameters<Merge>[1];
type Context = Parameters<Merge>[0];

/** `<<`: its map counts from where it stands, so that it wins over names before it and loses to those behind it. */
const merge: ScalarTag = {
  tag: 'tag:yaml.org,2002:merge',
  default: 'key',
  test: /^<<$/,
  resolve: () => Object.assign(new Scalar(Symbol('<<')), { addToJSMap: addMerged }),
  stringify: () => '<<',
};

function addMerged(context: Context, target: Target, value: unknown): void {
  const source = followed(context, value);
  // Of a list the first wins.
  for (const item of isSeq(source) ? source.items.toReversed() : [source]) {
    const map = followed(context, item);
    if (!isMap(map)) throw new Error('"<<" takes a map or a list of maps');
    const merged = map.toJSON(null, context, Map) as unknown as Map<unknown, unknown>;
    for (const [key, inner] of merged) put(target, key, inner);
  }
}

function put(target: Target, key: unknown, value: unknown): void {
  if (target instanceof Map) target.set(key, value);
  else if (!(target instanceof Set))
    Object.defineProperty(target, String(key), { value, writable: true, enumerable: true, configurable: true });
}

function followed(context: Context, value: unknown): unknown {
  return context !== undefined && isAlias(value) ? (value as Alias).resolve(context.doc, context) : value;
}

/**
 * The words that are no text to kubectl: a writer has to quote text that looks like one (`compat` of the package yaml).
 */
export const KUBECTL_WORDS: ScalarTag[] = [bool, int, float, unwritable];

/** For the functions and classes of the package yaml. */
export const KUBECTL_YAML: ParseOptions & DocumentOptions & SchemaOptions & ToJSOptions = {
  version: '1.1',
  schema: 'failsafe',
  merge: false,
  resolveKnownTags: false,
  customTags: (tags) => [...tags, 'null', ...KUBECTL_WORDS, binary, merge],
};
