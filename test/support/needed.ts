// Programs that a test needs from outside: where one cannot be had, the test is skipped and says why.

/**
 * @returns the program.
 * @throws mocha's own signal, which skips the test (or all tests of the hook that runs), when there is a reason to skip
 */
export function neededBy<T extends object>(test: Mocha.Context, program: T | { skip: string }): T {
  if (!('skip' in program)) return program;
  process.stderr.write(`skipped: ${program.skip}\n`);
  return test.skip();
}
