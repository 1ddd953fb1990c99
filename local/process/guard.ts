// Makes sure that nothing outlives the runner, even when it is killed with SIGKILL: one small shell process holds a
// pipe from the runner, is sent every process group, and when the pipe ends without a goodbye it ends those groups and
// removes the run's temporary directory.
import { type ChildProcess, spawn } from 'node:child_process';

const SCRIPT = `
trap '' INT TERM HUP
groups=' '
while read -r op arg; do
  case $op in
    +) groups="$groups$arg " ;;
    -) groups="\${groups%% $arg *} \${groups#* $arg }" ;;
    bye) exit 0 ;;
  esac
done
for g in $groups; do kill -s TERM -- "-$g" 2>/dev/null; done
sleep 1
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
rm -rf -- "$1"
`;

export interface Guard {
  /** A process group was started / is gone. */
  add(group: number): void;
  remove(group: number): void;
  /** All is stopped: the guard leaves. Resolves when it has. */
  close(): Promise<void>;
}

/** @param directory removed if the runner dies; absolute path */
export function startGuard(directory: string): Guard {
  // Its own group: Ctrl-C on the terminal must not reach it.
  const shell: ChildProcess = spawn('/bin/sh', ['-c', SCRIPT, 'weft-run-guard', directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const pipe = shell.stdin!;
  const gone = new Promise<void>((resolve) => {
    shell.on('exit', () => resolve());
    shell.on('error', () => resolve());
  });
  // Without a shell there is no guard; the run itself goes on.
  pipe.on('error', () => {});
  return {
    add: (group) => void pipe.write(`+ ${group}\n`),
    remove: (group) => void pipe.write(`- ${group}\n`),
    close: () => {
      pipe.end('bye\n');
      return gone;
    },
  };
}

/** For tests of parts that start nothing. */
export const NO_GUARD: Guard = { add: () => {}, remove: () => {}, close: () => Promise.resolve() };
