// Renders parsed templates. Stricter than Go's: a value that is not there is an error, not an empty string.
import { didYouMean } from '#core/text/nearest.ts';
import { FUNCTIONS, isTrue, printed, type Value } from './functions.ts';
import { type Expression, type Node, type Position, ROOT_VARIABLE, TemplateError } from './syntax.ts';

/** Includes within includes. */
const MAX_DEPTH = 50;

const LAZY = ['and', 'or', 'include'];

interface Scope {
  readonly dot: Value;
  readonly variables: Map<string, Value>;
  readonly depth: number;
}

/**
 * The text of a template's body.
 * @param defined the named templates of all files of the chart
 * @param data what the body sees as `.` and `$`
 * @throws TemplateError
 */
export function render(body: readonly Node[], defined: ReadonlyMap<string, readonly Node[]>, data: Value): string {
  return new Evaluation(defined).body(body, scopeOf(data, 0));
}

function scopeOf(data: Value, depth: number): Scope {
  return { dot: data, variables: new Map([[ROOT_VARIABLE, data]]), depth };
}

class Evaluation {
  private readonly defined: ReadonlyMap<string, readonly Node[]>;

  constructor(defined: ReadonlyMap<string, readonly Node[]>) {
    this.defined = defined;
  }

  /** Variables that are declared within end with it. */
  body(nodes: readonly Node[], outer: Scope, dot: Value = outer.dot): string {
    const scope: Scope = { ...outer, dot, variables: new Map(outer.variables) };
    return nodes.map((node) => this.node(node, scope)).join('');
  }

  private node(node: Node, scope: Scope): string {
    switch (node.kind) {
      case 'text':
        return node.text;
      case 'print': {
        const value = this.value(node.value, scope);
        return guarded(node.at, () => printed(value));
      }
      case 'let':
        scope.variables.set(node.variable, this.value(node.value, scope));
        return '';
      case 'if':
        return this.body(isTrue(this.value(node.condition, scope)) ? node.body : node.otherwise, scope);
      case 'with': {
        const value = this.value(node.value, scope);
        return isTrue(value) ? this.body(node.body, scope, value) : this.body(node.otherwise, scope);
      }
      case 'range':
        return this.range(node, scope);
    }
  }

  private range(node: Node & { kind: 'range' }, scope: Scope): string {
    const value = this.value(node.value, scope);
    const entries = entriesOf(value, node.at);
    if (entries.length === 0) return this.body(node.otherwise, scope);
    return entries
      .map(([key, item]) => {
        const variables = new Map(scope.variables);
        if (node.key !== undefined) variables.set(node.key, key);
        if (node.item !== undefined) variables.set(node.item, item);
        return this.body(node.body, { ...scope, variables }, item);
      })
      .join('');
  }

  private value(expression: Expression, scope: Scope): Value {
    const { at } = expression;
    switch (expression.kind) {
      case 'literal':
        return expression.value;
      case 'path':
        return follow(baseOf(expression, scope), expression.fields, at);
      case 'call':
        return this.call(expression.name, expression.args, scope, at);
    }
  }

  private call(name: string, args: readonly Expression[], scope: Scope, at: Position): Value {
    if (name === 'include') return this.include(args, scope, at);
    if (name === 'and' || name === 'or') {
      if (args.length === 0) throw new TemplateError(at, `${name} takes one value or more`);
      // As in Go: the first value that decides, or the last.
      let value: Value = null;
      for (const arg of args) {
        value = this.value(arg, scope);
        if (isTrue(value) === (name === 'or')) break;
      }
      return value;
    }
    const found = FUNCTIONS.get(name);
    if (found === undefined)
      throw new TemplateError(
        at,
        `the function "${name}" is not in the subset that Weft renders${didYouMean(name, [...FUNCTIONS.keys(), ...LAZY])}`,
      );
    const [least, most] = found.arity;
    if (args.length < least || args.length > most)
      throw new TemplateError(at, `${name} takes ${least} to ${most} values, not ${args.length}`);
    const values = args.map((arg) => this.value(arg, scope));
    return guarded(at, () => found.call(values));
  }

  private include(args: readonly Expression[], scope: Scope, at: Position): Value {
    if (args.length !== 2) throw new TemplateError(at, 'include takes a name and a value');
    const [name, data] = args.map((arg) => this.value(arg, scope));
    const body = typeof name === 'string' ? this.defined.get(name) : undefined;
    if (body === undefined)
      throw new TemplateError(at, `no template is defined as ${JSON.stringify(name)}${didYouMean(String(name), this.defined.keys())}`);
    if (scope.depth >= MAX_DEPTH) throw new TemplateError(at, `${name} includes itself`);
    return this.body(body, scopeOf(data, scope.depth + 1));
  }
}

function baseOf({ of, at }: Expression & { kind: 'path' }, { dot, variables }: Scope): Value {
  if (of === 'dot') return dot;
  const value = variables.get(of.variable);
  if (value === undefined) throw new TemplateError(at, `${of.variable} is not declared here`);
  return value;
}

function follow(base: Value, fields: readonly string[], at: Position): Value {
  let value = base;
  for (const [i, field] of fields.entries()) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, field)) {
      const path = fields.slice(0, i + 1).join('.');
      const names = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
      throw new TemplateError(at, `there is no .${path}${didYouMean(field, names)}`);
    }
    value = (value as { readonly [name: string]: Value })[field];
  }
  return value;
}

/** What is ranged over: a map in the order of its keys, as in Go. */
function entriesOf(value: Value, at: Position): [Value, Value][] {
  if (value === null) return [];
  if (Array.isArray(value)) return value.map((item, i) => [BigInt(i), item]);
  if (typeof value !== 'object') throw new TemplateError(at, `range over ${typeof value}: a list or a map is needed`);
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Functions do not know where they are called. */
function guarded<T>(at: Position, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    throw new TemplateError(at, (error as Error).message);
  }
}
