// Finds a container's program before it is started, so that a wrong name is said with its file and not as ENOENT again
// and again.
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/**
 * The file that a command names, as execvp(3) finds it: with a slash from the working directory, else along PATH.
 * @returns the absolute path, or why there is none
 */
export function findProgram(command: string, directory: string, path: string): { file: string } | { error: string } {
  if (!existsSync(directory)) return { error: `the working directory ${directory} does not exist` };
  if (command.includes('/')) {
    const file = isAbsolute(command) ? command : resolve(directory, command);
    if (executable(file)) return { file };
    return { error: existsSync(file) ? `${file} is not executable` : `there is no file ${file}` };
  }
  for (const entry of path.split(delimiter)) {
    const file = join(entry || '.', command);
    if (executable(file)) return { file };
  }
  return { error: `there is no command ${command} on the PATH` };
}

/**
 * A script that an interpreter is to run and that is not there: `node payment.mjs` fails as surely as a missing
 * command. Only Node is known, and only a plain first argument.
 */
export function missingScript(argv: readonly string[], directory: string): string | null {
  if (argv[0] !== 'node' || argv[1] === undefined || argv[1].startsWith('-') || !/\.[cm]?[jt]s$/.test(argv[1])) return null;
  const file = resolve(directory, argv[1]);
  return existsSync(file) ? null : `there is no file ${file}`;
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
