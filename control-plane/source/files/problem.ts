// What is wrong with a manifest, as data: where it is and what was expected.

export interface Problem {
  /** `error`: the object or file is not in force as written. `notice`: worth a word, changes nothing. */
  readonly severity: 'error' | 'notice';
  /** Path as the user would type it. */
  readonly file: string;
  /** From 1; 0 where the whole file or directory is meant. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** `dir/routes.yaml:12:7: spec.rules must be a list, not "x"`: the form that editors and terminals can follow. */
export function formatProblem(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  return `${place}: ${problem.message}`;
}

/** Order for people: by file, then by place. */
export function byPlace(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column || (a.message < b.message ? -1 : a.message > b.message ? 1 : 0);
}
