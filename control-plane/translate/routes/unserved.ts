// Fields of rules that Weft does not serve, by their paths: of a newer or experimental version of the API, or of no
// version at all. The route is served without them, and its status names them; but a match without one of its fields
// would match more than its author wrote, and so it matches nothing. Pure.
import { entriesOf, fieldsOf, isMap } from '#objects/fields.ts';

/** A field that is served: `true` with all that is in it, else what of it is. Lists have the form of their entries. */
export type ServedFields = { readonly [field: string]: true | ServedFields };

/** So many are named. */
const MOST_NAMED = 8;
/** Of the list of rules, and of each list in them, so many entries are looked at. */
const MOST_ENTRIES = 64;

/** The fields of a filter that are the same in all kinds of routes. */
const SHARED_FILTER: ServedFields = {
  type: true,
  requestHeaderModifier: { set: { name: true, value: true }, add: { name: true, value: true }, remove: true },
  responseHeaderModifier: { set: { name: true, value: true }, add: { name: true, value: true }, remove: true },
  requestMirror: {
    backendRef: { group: true, kind: true, name: true, namespace: true, port: true },
    percent: true,
    fraction: { numerator: true, denominator: true },
  },
  extensionRef: true,
};

/** What a kind serves beside what all of them do. */
interface OwnFields {
  /** Of a match. */
  readonly matches: ServedFields;
  readonly filters?: ServedFields;
  readonly rule?: ServedFields;
}

export function servedRule({ matches, filters: own = {}, rule = {} }: OwnFields): ServedFields {
  const filters: ServedFields = { ...SHARED_FILTER, ...own };
  return {
    name: true,
    matches,
    filters,
    backendRefs: { group: true, kind: true, name: true, namespace: true, port: true, weight: true, filters },
    ...rule,
  };
}

/** @returns notes for the status, such as "rules[0].sessionPersistence is not served: it has no effect" */
export function unservedFields(rules: unknown, served: ServedFields): string[] {
  const paths: string[] = [];
  // Those of matches are faults.
  walk(rules, { ...served, matches: true }, 'rules', paths);
  if (paths.length === 0) return [];
  const named = paths.slice(0, MOST_NAMED).join(', ');
  const more = paths.length > MOST_NAMED ? ` and ${paths.length - MOST_NAMED} more` : '';
  return [`${named}${more} ${paths.length === 1 ? 'is not served: it has' : 'are not served: they have'} no effect`];
}

/**
 * The matches of a rule that have a field which is not served.
 * @returns by the match's index, such a field's path within the rule: "matches[1].method.package"
 */
export function unservedMatches(matches: unknown, { matches: served }: ServedFields): Map<number, string> {
  const unserved = new Map<number, string>();
  if (!Array.isArray(matches) || served === true || served === undefined) return unserved;
  for (const [index, match] of matches.entries()) {
    const [path] = walk(match, served, `matches[${index}]`, []);
    if (path !== undefined) unserved.set(index, path);
  }
  return unserved;
}

function walk(value: unknown, served: ServedFields, path: string, paths: string[]): string[] {
  if (Array.isArray(value)) {
    for (const [i, entry] of entriesOf(value).slice(0, MOST_ENTRIES).entries()) walk(entry, served, `${path}[${i}]`, paths);
    return paths;
  }
  if (!isMap(value)) return paths;
  for (const [field, inside] of Object.entries(fieldsOf(value))) {
    const known = Object.hasOwn(served, field) ? served[field] : undefined;
    if (known === undefined) paths.push(`${path}.${field}`);
    else if (known !== true) walk(inside, known, `${path}.${field}`, paths);
  }
  return paths;
}
