// A canary of ingress-nginx as rules: header before cookie before weight. Pure.

import type { Canary } from './ingress-annotations.ts';
import type { PathMatch } from './ingress-path.ts';
import type { BackendRef } from './ingress-source.ts';

type Rule = Readonly<Record<string, unknown>>;

/**
 * @param common filters and fields that each rule gets
 * @returns rules of which the first that matches counts: those with a header have more conditions than the last
 */
export function canaryRules(path: PathMatch, common: Rule, stable: BackendRef, canary: BackendRef, how: Canary): Rule[] {
  const rules: Rule[] = [];
  const ruleFor = (headers: readonly object[], backendRefs: readonly BackendRef[]): void => {
    rules.push({ matches: [headers.length === 0 ? { path } : { path, headers }], ...common, backendRefs });
  };
  const { header, headerValue, headerPattern, cookie, weight, total } = how;
  if (header !== undefined) {
    if (headerPattern !== undefined && headerValue === undefined) {
      ruleFor([{ type: 'RegularExpression', name: header, value: headerPattern }], [canary]);
    } else {
      ruleFor([{ name: header, value: headerValue ?? 'always' }], [canary]);
      if (headerValue === undefined) ruleFor([{ name: header, value: 'never' }], [stable]);
    }
  }
  if (cookie !== undefined) {
    const cookieIs = (value: string): object => ({
      type: 'RegularExpression',
      name: 'Cookie',
      value: `(?:.*;)?\\s*${cookie.replace(/[^A-Za-z0-9_-]/g, '\\$&')}=${value}(?:;.*)?`,
    });
    ruleFor([cookieIs('always')], [canary]);
    ruleFor([cookieIs('never')], [stable]);
  }
  const share = Math.min(weight, total);
  if (share === 0) ruleFor([], [stable]);
  else
    ruleFor(
      [],
      [
        { ...stable, weight: total - share },
        { ...canary, weight: share },
      ],
    );
  return rules;
}
