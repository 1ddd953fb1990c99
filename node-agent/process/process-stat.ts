// When a process began and who is its parent, by the text of /proc/<pid>/stat (proc_pid_stat(5)). Pure.

export interface ProcessStat {
  readonly parent: number;
  /** Clock ticks since the system started: with the process id it names a process for good. */
  readonly startTime: number;
}

/** undefined: the text is none of /proc. */
export function processStatOf(stat: string): ProcessStat | undefined {
  // The second field is the program's name in parentheses; it may have spaces and parentheses of its own.
  const fields = stat.slice(stat.lastIndexOf(')') + 1).split(' ');
  // fields[0] is empty, [1] is the third field: the state.
  const [parent, startTime] = [Number(fields[2]), Number(fields[20])];
  return Number.isInteger(parent) && Number.isInteger(startTime) ? { parent, startTime } : undefined;
}
