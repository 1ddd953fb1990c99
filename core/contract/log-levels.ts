// How much is logged: the words of annotations, of the environment and of the command line.

/** Of one line. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What can be asked for. */
export const LOG_LEVELS: readonly (LogLevel | 'off')[] = ['debug', 'info', 'warn', 'error', 'off'];

/** Whether a word of a user is a level. */
export function isLogLevel(word: string): word is LogLevel | 'off' {
  return (LOG_LEVELS as readonly string[]).includes(word);
}
