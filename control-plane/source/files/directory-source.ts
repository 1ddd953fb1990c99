// The objects of a directory of manifests, kept up to date as the files change.
import { promises as fs } from 'node:fs';
import type { Logger } from '#core/program/log.ts';
import { didYouMean } from '#core/text/nearest.ts';
import { apiVersionOf, groupOf } from '#objects/kind.ts';
import { FILE_KINDS } from '#objects/kinds.ts';
import { type IgnoredKind, type ParsedFile, parseManifests, type SourcedObject } from './manifests.ts';
import { type FileContents, Generations, mergeFiles, NO_CONTENTS, nextContents } from './merge.ts';
import { byPlace, formatProblem, type Problem } from './problem.ts';
import { readManifest, scanDirectory } from './scan.ts';
import { DirectoryWatch } from './watch.ts';

/** The directory cannot be used at all; the message is for the person who named it. */
export class DirectoryError extends Error {
  override readonly name = 'DirectoryError';
}

export interface DirectorySourceDeps {
  /** Shown in problems as it is given. */
  readonly dir: string;
  readonly log: Logger;
  /** Objects or problems are different now. Not called for the first reading. */
  readonly onChange: () => void;
  /**
   * How often all is read again, because the kernel does not report every change (network file systems). Default 5000.
   */
  readonly rereadMs?: number;
}

interface FileState {
  text: string | null;
  parsed: ParsedFile | null;
  unreadable: string | null;
  contents: FileContents;
}

const REREAD_MS = 5000;
// While the directory is gone there is nothing to watch.
const GONE_REREAD_MS = 200;
const KIND_NAMES = FILE_KINDS.map(({ kind }) => kind);
const EMPTY: ParsedFile = { objects: [], problems: [], ignored: [], broken: new Set(), brokenUnknown: false };

/**
 * Reads `dir` and all below it (`*.yaml`, `*.yml`, `*.json`). What is broken is a problem; the good files, documents
 * and earlier versions stay in force. A saved file is re-read about 10 ms later; a removed object leaves 200 ms after
 * its file or document.
 */
export class DirectorySource {
  private readonly deps: DirectorySourceDeps;
  private readonly files = new Map<string, FileState>();
  private readonly generations = new Generations();
  private readonly watch: DirectoryWatch;
  private current: readonly SourcedObject[] = [];
  private currentProblems: readonly Problem[] = [];
  private logged = new Set<string>();
  private blind = false;
  private state: 'idle' | 'reading' | 'reading, and once more' | 'stopped' = 'idle';
  private timer: NodeJS.Timeout | null = null;

  constructor(deps: DirectorySourceDeps) {
    this.deps = deps;
    this.watch = new DirectoryWatch({
      onHint: () => this.refresh(),
      onBlind: (path, reason) => {
        if (!this.blind) deps.log.warn('changes are noticed late: the directory cannot be watched', { path, reason });
        this.blind = true;
      },
    });
  }

  /**
   * Reads everything once; afterwards objects() and problems() are filled and changes are followed.
   * @throws DirectoryError when there is no such directory
   */
  async start(): Promise<void> {
    const { dir } = this.deps;
    const stat = await fs.stat(dir).catch((error: NodeJS.ErrnoException) => error);
    if (stat instanceof Error) {
      const reason =
        stat.code === 'ENOENT' || stat.code === 'ENOTDIR' ? `there is no directory ${dir}` : `${dir} cannot be read: ${stat.code}`;
      throw new DirectoryError(reason);
    }
    if (!stat.isDirectory()) throw new DirectoryError(`${dir} is a file: name the directory that holds the manifests`);
    this.state = 'reading';
    await this.readAll(true);
  }

  stop(): void {
    this.state = 'stopped';
    this.watch.stop();
    if (this.timer !== null) clearTimeout(this.timer);
  }

  /**
   * All objects in force with the place each comes from, sorted by kind, namespace and name. Unchanged objects keep
   * their identity.
   */
  objects(): readonly SourcedObject[] {
    return this.current;
  }

  /** What is wrong now, sorted by file and place. */
  problems(): readonly Problem[] {
    return this.currentProblems;
  }

  private refresh(): void {
    if (this.state === 'reading') this.state = 'reading, and once more';
    if (this.state !== 'idle') return;
    this.state = 'reading';
    this.readAll(false).catch((error: unknown) => {
      // A defect of ours: it must be seen, as an uncaught exception is.
      queueMicrotask(() => {
        throw error;
      });
    });
  }

  private async readAll(first: boolean): Promise<void> {
    const changed = await this.readOnce();
    if (this.state === 'stopped') return;
    if (changed && !first) this.deps.onChange();
    const again = this.state === 'reading, and once more';
    this.state = 'idle';
    if (again) this.watch.hint();
  }

  private async readOnce(): Promise<boolean> {
    const scan = await scanDirectory(this.deps.dir);
    const texts = scan.gone ? [] : await Promise.all(scan.files.map((path) => readManifest(path)));
    if (this.state === 'stopped') return false;
    const faults: Problem[] = scan.faults.map(({ path, message }) => whole('error', path, message));
    // Everything at once is more likely an accident (a checkout, a mount) than the intention to run nothing.
    if (scan.gone) faults.push(whole('error', this.deps.dir, 'the directory is gone: what it held stays in force'));
    else this.takeTexts(scan.files, texts);
    if (this.watch.follow(scan.directories)) this.watch.hint();
    const nextLeaveMs = this.leavingMs();
    const usual = this.blind ? Math.min(1000, this.rereadMs()) : this.rereadMs();
    this.schedule(scan.gone ? GONE_REREAD_MS : Math.min(usual, nextLeaveMs));
    return this.settle(faults);
  }

  private takeTexts(paths: readonly string[], texts: readonly Awaited<ReturnType<typeof readManifest>>[]): void {
    const now = performance.now();
    const present = new Set<string>();
    paths.forEach((path, index) => {
      const read = texts[index]!;
      if ('absent' in read) return;
      present.add(path);
      const state = this.files.get(path) ?? { text: null, parsed: null, unreadable: null, contents: NO_CONTENTS };
      this.files.set(path, state);
      if ('unreadable' in read) {
        Object.assign(state, { text: null, parsed: null, unreadable: read.unreadable });
      } else if (state.text !== read.text) {
        Object.assign(state, { text: read.text, parsed: parseManifests(read.text, path), unreadable: null });
      }
      state.contents = nextContents(state.contents, state.parsed, now);
    });
    for (const [path, state] of this.files) {
      if (present.has(path)) continue;
      Object.assign(state, { text: null, parsed: EMPTY, unreadable: null, contents: nextContents(state.contents, EMPTY, now) });
      if (state.contents.kept.size === 0) this.files.delete(path);
    }
  }

  /** Publishes what counts now; true if anything is different. */
  private settle(faults: readonly Problem[]): boolean {
    const merged = mergeFiles(new Map([...this.files].map(([path, { contents }]) => [path, contents])));
    const ignored = firstOfEachKind([...this.files.values()].flatMap(({ parsed }) => parsed?.ignored ?? []));
    const problems = [
      ...faults,
      ...[...this.files].flatMap(([path, { unreadable }]) => (unreadable === null ? [] : [whole('error', path, unreadable)])),
      ...[...this.files.values()].flatMap(({ parsed }) => parsed?.problems ?? []),
      ...merged.problems,
      ...ignored,
    ].sort(byPlace);
    const objects = this.generations.settle(merged.objects);
    const same = sameList(objects, this.current, (a, b) => a.object === b.object && a.file === b.file);
    const sameProblems = sameList(problems, this.currentProblems, (a, b) => formatProblem(a) === formatProblem(b));
    this.current = objects;
    this.currentProblems = problems;
    if (!sameProblems) this.logNew(problems);
    return !same || !sameProblems;
  }

  private logNew(problems: readonly Problem[]): void {
    const now = new Set(problems.map(formatProblem));
    for (const problem of problems) {
      const line = formatProblem(problem);
      if (this.logged.has(line)) continue;
      if (problem.severity === 'error') this.deps.log.warn(line);
      else this.deps.log.info(line);
    }
    this.logged = now;
  }

  private leavingMs(): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { contents } of this.files.values()) for (const { untilMs } of contents.kept.values()) soonest = Math.min(soonest, untilMs);
    return Math.max(1, soonest - performance.now());
  }

  private rereadMs(): number {
    return this.deps.rereadMs ?? REREAD_MS;
  }

  private schedule(delayMs: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), delayMs);
    this.timer.unref();
  }
}

function whole(severity: Problem['severity'], file: string, message: string): Problem {
  return { severity, file, line: 0, column: 0, message };
}

function firstOfEachKind(ignored: readonly IgnoredKind[]): Problem[] {
  const said = new Set<string>();
  const notices: Problem[] = [];
  for (const { apiVersion, kind, file, line, column } of [...ignored].sort((a, b) =>
    a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line,
  )) {
    if (said.has(`${apiVersion} ${kind}`)) continue;
    said.add(`${apiVersion} ${kind}`);
    const message = `Weft does not read ${kind} (${apiVersion}): ignored, here and elsewhere${meantBy(apiVersion, kind)}`;
    notices.push({ severity: 'notice', file, line, column, message });
  }
  return notices;
}

/**
 * A kind of the right name under a wrong apiVersion, or a misspelt kind. Other groups have their own Service and are
 * left in peace.
 */
function meantBy(apiVersion: string, kind: string): string {
  const namesake = FILE_KINDS.find((known) => known.kind === kind);
  if (namesake === undefined) return didYouMean(kind, KIND_NAMES);
  const meant = apiVersionOf(namesake);
  return groupOf(apiVersion) === '' ? `, did you mean apiVersion: ${meant}?` : didYouMean(apiVersion, [meant]);
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((item, index) => same(item, b[index]!));
}
