// What one connection remembers of the header lists that came on it: fields whose values repeat, and the templates that
// are made of them. A call whose list is known costs no string and no decision.
import { type Field, fieldSpelled } from './field.ts';
import { type FieldName, type FieldNames, VARYING_PATH } from './field-name.ts';
import { Template } from './header-block.ts';
import { MAX_REMEMBERED_OCTETS } from './limits.ts';

/**
 * So many distinct fields and templates are remembered; past it, or past MAX_REMEMBERED_OCTETS, the memory starts
 * again.
 */
const MAX_INTERNED = 512;
/** Larger fields and lists are not remembered: a few would drive all others out. */
const MAX_REMEMBERED_LIST = MAX_REMEMBERED_OCTETS / 8;
/**
 * Paths that are in templates. gRPC has a path for each method, and its plans hang on them; paths of HTTP may have no
 * end, and with one new path per call each call made a template. So the first ones are remembered, further ones only
 * when they come again soon, and all others vary.
 */
const MAX_STABLE_PATHS = 64;
const MAX_REPEATED_PATHS = 256;
/** Power of two. */
const LAST_PATHS = 128;
/** Templates whose hash is the same. */
const MOST_OF_ONE_HASH = 8;

export class Interned {
  /** The size of remembered fields and templates, as RFC 7541 §4.1 counts it. */
  octets = 0;
  /** By the name as it was spelled, then the value. */
  private readonly fields = new Map<string, Map<string, Field>>();
  private fieldCount = 0;
  private readonly templates = new Map<number, Template[]>();
  private nextId: number;
  private readonly names: FieldNames;
  private readonly onForget: () => void;
  /** Hashes of paths that came last; null: there were few. */
  private lastPaths: Int32Array | null = null;

  /**
   * @param names what is known of names
   * @param firstId the first number of a field that is free
   * @param onForget called when the memory starts again: what was derived of its templates is of no use any more
   */
  constructor(names: FieldNames, firstId: number, onForget: () => void) {
    this.names = names;
    this.nextId = firstId;
    this.onForget = onForget;
  }

  /** The field of a name whose values repeat, from memory if it was seen. @param spelled the name as it came */
  field(of: FieldName, spelled: string, value: string, never: boolean): Field {
    let byValue = this.fields.get(spelled);
    const known = byValue?.get(value);
    if (known !== undefined && known.never === never) return known;
    if (byValue !== undefined && this.names.learn(of, byValue.size + 1)) {
      // Templates with its former values are of no use any more.
      this.forget();
      return fieldSpelled(of, spelled, value, never, 0);
    }
    if (spelled === ':path' && byValue !== undefined && !this.keepsPath(value, byValue.size))
      return fieldSpelled(VARYING_PATH, spelled, value, never, 0);
    const field = fieldSpelled(of, spelled, value, never, this.nextId++);
    if (field.size > MAX_REMEMBERED_LIST) return field;
    if (this.fieldCount >= MAX_INTERNED || this.octets + field.size > MAX_REMEMBERED_OCTETS) {
      this.forget();
      byValue = undefined;
    }
    this.octets += field.size;
    if (byValue === undefined) this.fields.set(spelled, (byValue = new Map()));
    byValue.set(value, field);
    this.fieldCount++;
    return field;
  }

  /**
   * The template of a list of stable fields, from memory if it was seen.
   * @param hash of the ids of the fields
   * @param octets the sizes of the fields, added up
   */
  template(fields: Field[], hash: number, octets: number): Template {
    let bucket = this.templates.get(hash);
    if (bucket !== undefined) for (const template of bucket) if (sameFields(template.fields, fields)) return template;
    const template = new Template(fields);
    if (octets > MAX_REMEMBERED_LIST || bucket?.length === MOST_OF_ONE_HASH) return template;
    if (this.templates.size >= MAX_INTERNED || this.octets + octets > MAX_REMEMBERED_OCTETS) {
      this.forget();
      bucket = undefined;
    }
    if (bucket === undefined) this.templates.set(hash, (bucket = []));
    bucket.push(template);
    this.octets += octets;
    return template;
  }

  private keepsPath(value: string, known: number): boolean {
    if (known < MAX_STABLE_PATHS) return true;
    let hash = value.length;
    for (let i = 0; i < value.length; i++) hash = (Math.imul(hash, 31) + value.charCodeAt(i)) | 0;
    const last = (this.lastPaths ??= new Int32Array(LAST_PATHS));
    const slot = (hash ^ (hash >>> 15)) & (LAST_PATHS - 1);
    const cameBefore = last[slot] === hash;
    last[slot] = hash;
    return cameBefore && known < MAX_REPEATED_PATHS;
  }

  private forget(): void {
    this.fields.clear();
    this.templates.clear();
    this.fieldCount = 0;
    this.octets = 0;
    this.onForget();
  }
}

function sameFields(a: readonly Field[], b: readonly Field[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
