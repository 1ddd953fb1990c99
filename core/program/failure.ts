// How a verb ends otherwise than well. Bugs are other errors: they keep their stack and end the process with code 1.

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** What was asked for could not be done: exit code 1. The message is all that the user sees. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/** Wrong words on the command line: exit code 2. The message is all that the user sees. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
