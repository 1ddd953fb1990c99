// The objects of all files together: what stays of earlier versions, which of two equal names wins, which generation
// each has. Pure.
import { type FileObject, objectKey, objectTitle, type ParsedFile, type SourcedObject } from './manifests.ts';
import type { Problem } from './problem.ts';

/** An object that the file no longer gives, still in force. */
export interface Kept {
  readonly from: SourcedObject;
  /** Time of the same clock as `nowMs`; Infinity: until the file is mended. */
  readonly untilMs: number;
}

/** One file as it counts now. */
export interface FileContents {
  readonly live: readonly SourcedObject[];
  readonly kept: ReadonlyMap<string, Kept>;
}

/**
 * An editor may take a file away and bring it back, or empty it before it writes: what is missing leaves this much
 * later.
 */
export const REMOVAL_GRACE_MS = 200;

export const NO_CONTENTS: FileContents = { live: [], kept: new Map() };

/**
 * What counts after a file was read again.
 * @param parsed null: the file cannot be read; all it gave stays
 */
export function nextContents(previous: FileContents, parsed: ParsedFile | null, nowMs: number): FileContents {
  const live = parsed?.objects ?? [];
  const here = new Set(live.map((sourced) => objectKey(sourced.object)));
  const kept = new Map<string, Kept>();
  const earlier = [
    ...previous.kept,
    ...previous.live.map((from): [string, Kept] => [objectKey(from.object), { from, untilMs: Number.POSITIVE_INFINITY }]),
  ];
  for (const [key, { from, untilMs }] of earlier) {
    if (here.has(key)) continue;
    const lastGood = parsed === null || parsed.brokenUnknown || parsed.broken.has(key);
    const until = lastGood ? Number.POSITIVE_INFINITY : Math.min(untilMs, nowMs + REMOVAL_GRACE_MS);
    if (until > nowMs) kept.set(key, { from, untilMs: until });
  }
  return { live, kept };
}

export interface Merged {
  readonly objects: readonly SourcedObject[];
  readonly problems: readonly Problem[];
}

/** One object per key, the first by path and then by place; the others are problems that name both places. */
export function mergeFiles(files: ReadonlyMap<string, FileContents>): Merged {
  const byKey = new Map<string, SourcedObject>();
  const problems: Problem[] = [];
  const paths = [...files.keys()].sort();
  for (const path of paths)
    for (const sourced of files.get(path)!.live) {
      const key = objectKey(sourced.object);
      const first = byKey.get(key);
      if (first === undefined) byKey.set(key, sourced);
      else problems.push(duplicate(sourced, first));
    }
  for (const path of paths)
    for (const [key, { from, untilMs }] of files.get(path)!.kept) {
      if (byKey.has(key)) continue;
      byKey.set(key, from);
      if (untilMs === Number.POSITIVE_INFINITY) problems.push(stays(from));
    }
  const objects = [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sourced]) => sourced);
  return { objects, problems };
}

function duplicate(later: SourcedObject, first: SourcedObject): Problem {
  const { file, line, column } = later;
  const message = `${objectTitle(later.object)} stands here a second time: the one in ${first.file}:${first.line} is used, this one is not`;
  return { severity: 'error', file, line, column, message };
}

function stays(from: SourcedObject): Problem {
  return { severity: 'notice', file: from.file, line: 0, column: 0, message: `the last good ${objectTitle(from.object)} stays in force` };
}

/**
 * Counts changes of each object's specification, as the API server does in metadata.generation: 1 for a new object.
 * An object that did not change is handed out again as the same value, so that `===` tells what is new.
 */
export class Generations {
  private known = new Map<string, { object: FileObject; spec: string; whole: string; generation: number }>();

  settle(objects: readonly SourcedObject[]): SourcedObject[] {
    const next: typeof this.known = new Map();
    const settled = objects.map((sourced) => {
      const key = objectKey(sourced.object);
      const before = this.known.get(key);
      const whole = canonical(sourced.object);
      const { metadata, status: _, ...rest } = sourced.object;
      const spec = canonical(rest);
      let entry = before;
      if (before === undefined || before.whole !== whole) {
        const generation = before === undefined ? 1 : before.generation + (before.spec === spec ? 0 : 1);
        entry = { object: { ...sourced.object, metadata: { ...metadata, generation } }, spec, whole, generation };
      }
      next.set(key, entry!);
      return { ...sourced, object: entry!.object };
    });
    this.known = next;
    return settled;
  }
}

/** JSON with sorted keys: two spellings of one object are the same text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
