// The spans of a trace in the order of a drawing: each under its parent, whatever the spans claim. Pure.
import type { Span } from './jaeger.ts';

export interface Row {
  readonly span: Span;
  /** What leads to it from the left: "│  └─ ". */
  readonly guide: string;
  /** The same for further lines of the span. */
  readonly under: string;
  /** Something about its place that is to be said; '': nothing. */
  readonly remark: string;
}

export interface Tree {
  readonly rows: readonly Row[];
  /** Unix time, µs, of the first start. */
  readonly startUs: number;
  /** From there to the last end. */
  readonly durationUs: number;
}

/** Puts spans in order: children by their start, under their parent; what has none that is here is a root. */
export function treeOf(spans: readonly Span[]): Tree {
  const startUs = spans.reduce((least, span) => Math.min(least, span.startUs), Number.POSITIVE_INFINITY);
  const endUs = spans.reduce((most, span) => Math.max(most, span.startUs + span.durationUs), 0);
  const inOrder = [...spans].sort((a, b) => a.startUs - b.startUs || b.durationUs - a.durationUs || compareText(a.spanId, b.spanId));
  return { rows: rowsOf(inOrder), startUs: spans.length === 0 ? 0 : startUs, durationUs: spans.length === 0 ? 0 : endUs - startUs };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rowsOf(spans: readonly Span[]): Row[] {
  const byId = new Map<string, Span>();
  // Two spans of one id (a service that reports twice) are both drawn; children hang under the first.
  for (const span of spans) if (!byId.has(span.spanId)) byId.set(span.spanId, span);
  const children = new Map<Span, Span[]>();
  const roots: Span[] = [];
  for (const span of spans) {
    const parent = parentOf(span, byId);
    const siblings = parent === undefined ? roots : children.get(parent);
    if (siblings === undefined) children.set(parent!, [span]);
    else siblings.push(span);
  }
  const rows: Row[] = [];
  const drawn = new Set<Span>();
  // Not recursive: a trace may be as deep as it has spans.
  const draw = (root: Span): void => {
    const open: { span: Span; before: string; isLast: boolean; isRoot: boolean }[] = [
      { span: root, before: '', isLast: true, isRoot: true },
    ];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { span, before, isLast, isRoot } = next;
      if (drawn.has(span)) continue;
      drawn.add(span);
      const below = isRoot ? '' : `${before}${isLast ? '   ' : '│  '}`;
      const kids = (children.get(span) ?? []).filter((kid) => !drawn.has(kid));
      rows.push({
        span,
        guide: isRoot ? '' : `${before}${isLast ? '└─ ' : '├─ '}`,
        under: kids.length > 0 ? `${below}│  ` : `${below}   `,
        remark: remarkOf(span, parentOf(span, byId), isRoot),
      });
      for (let i = kids.length - 1; i >= 0; i--) open.push({ span: kids[i], before: below, isLast: i === kids.length - 1, isRoot: false });
    }
  };
  for (const root of roots) draw(root);
  // What is left are rings.
  for (const span of spans) if (!drawn.has(span)) draw(span);
  return rows;
}

function parentOf(span: Span, byId: ReadonlyMap<string, Span>): Span | undefined {
  const parent = span.parentId === '' ? undefined : byId.get(span.parentId);
  return parent?.spanId === span.spanId ? undefined : parent;
}

function remarkOf(span: Span, parent: Span | undefined, isRoot: boolean): string {
  if (parent === undefined) {
    return span.parentId === '' || span.parentId === span.spanId ? '' : `its parent ${span.parentId} is not in this trace`;
  }
  if (isRoot) return 'its parents form a ring';
  const earlyUs = parent.startUs - span.startUs;
  return earlyUs > 0 ? `begins ${(earlyUs / 1000).toFixed(2)} ms before its parent: two clocks` : '';
}
