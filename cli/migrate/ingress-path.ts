// Paths of an Ingress, with what ingress-nginx makes of them: prefixes, regular expressions, rewrites. Pure.
import { RE2JS } from 're2js';
import type { Notes } from './draft.ts';

export interface PathMatch {
  readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression';
  readonly value: string;
}

export interface TranslatedPath {
  readonly match: PathMatch;
  /** What its rewrite asks for; absent: nothing. */
  readonly rewrite?: { readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'; readonly value: string };
}

/** Ways in which people catch "all behind the prefix", with the number of its group. */
const REST = [
  { text: '(/|$)(.*)', group: 2, isWhole: true },
  { text: '/?(.*)', group: 1, isWhole: false },
  { text: '/(.*)', group: 1, isWhole: true },
  { text: '(.*)', group: 1, isWhole: false },
];
const PLAIN = /^[A-Za-z0-9/_.~-]*$/;

/**
 * @param useRegex paths are regular expressions, because an annotation says so or because there is a rewrite
 * @param target of nginx's rewrite; undefined: none
 * @returns null, and a note, where no rule can say it
 */
export function translatePath(
  path: string,
  pathType: string,
  { useRegex, target }: { readonly useRegex: boolean; readonly target: string | undefined },
  notes: Notes,
): TranslatedPath | null {
  if (!useRegex) return { match: { type: pathType === 'Exact' ? 'Exact' : 'PathPrefix', value: path } };
  const prefix = prefixOf(path, notes);
  if (target === undefined)
    return prefix === null ? regularExpression(path, notes) : { match: { type: 'PathPrefix', value: prefix.value } };
  if (!target.includes('$')) {
    const match = prefix === null ? regularExpression(path, notes)?.match : ({ type: 'PathPrefix', value: prefix.value } as const);
    return match === undefined ? null : { match, rewrite: { type: 'ReplaceFullPath', value: target } };
  }
  const wanted = prefix === null || prefix.group === 0 ? null : `$${prefix.group}`;
  if (prefix === null || wanted === null || !target.endsWith(wanted) || !PLAIN.test(target.slice(0, -wanted.length))) {
    notes.leftOut(
      `the rule for path ${path}: only prefixes can be replaced, not what groups of an expression match (rewrite-target: ${target})`,
    );
    return null;
  }
  const replacement = target.slice(0, -wanted.length).replace(/\/+$/, '') || '/';
  const isSame = replacement === prefix.value;
  return {
    match: { type: 'PathPrefix', value: prefix.value },
    ...(isSame ? {} : { rewrite: { type: 'ReplacePrefixMatch', value: replacement } }),
  };
}

/** The plain prefix of an expression that means "this and all below"; group 0: it catches nothing. */
function prefixOf(path: string, notes: Notes): { value: string; group: number } | null {
  const written = path.startsWith('^') ? path.slice(1) : path;
  for (const { text, group, isWhole } of REST) {
    if (!written.endsWith(text)) continue;
    const value = written.slice(0, -text.length);
    if (!PLAIN.test(value)) return null;
    if (!isWhole && value !== '' && !value.endsWith('/'))
      notes.differs(`path ${path}: nginx also matches ${value}x, a PathPrefix only ${value} and what is below it`);
    return { value: value.replace(/(?<=.)\/+$/, '') || '/', group };
  }
  return PLAIN.test(written) ? { value: written.replace(/(?<=.)\/+$/, '') || '/', group: 0 } : null;
}

/** nginx matches the beginning of the path, in any case; the Gateway API the whole of it. */
function regularExpression(path: string, notes: Notes): TranslatedPath | null {
  const value = `(?i)${path.startsWith('^') ? path.slice(1) : path}${path.endsWith('$') || path.endsWith('.*') ? '' : '.*'}`;
  try {
    RE2JS.compile(value);
  } catch (error) {
    notes.leftOut(`the rule for path ${path}: not an expression that RE2 has (${(error as Error).message})`);
    return null;
  }
  return { match: { type: 'RegularExpression', value } };
}
