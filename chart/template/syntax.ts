// The tree that a template is parsed into, and the error that everything outside the subset is.

export interface Position {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export type Expression = { readonly at: Position } & (
  | { readonly kind: 'literal'; readonly value: string | bigint | boolean | null }
  /** `.a.b`, `$.a.b`, `$x.a.b`; no fields: the value itself. */
  | { readonly kind: 'path'; readonly of: 'dot' | { readonly variable: string }; readonly fields: readonly string[] }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
);

export type Node = { readonly at: Position } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'let'; readonly variable: string; readonly value: Expression }
  | { readonly kind: 'if'; readonly condition: Expression; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | { readonly kind: 'with'; readonly value: Expression; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | {
      readonly kind: 'range';
      readonly key: string | undefined;
      readonly item: string | undefined;
      readonly value: Expression;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
);

export interface ChartTemplate {
  readonly body: readonly Node[];
  /** `{{ define "name" }}` blocks of the file. */
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

/** A template that cannot be rendered: a mistake in the chart, or a part of Go's templates that Weft does not have. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';

  constructor(at: Position, message: string) {
    super(`${at.file}:${at.line}: ${message}`);
  }
}

/** The variable that Go's templates call `$`: what the template was given. */
export const ROOT_VARIABLE = '$';
