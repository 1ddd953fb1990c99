// Waiting for a condition instead of a time.

/**
 * Polls until the condition holds.
 * @throws Error naming `what` when it does not within `withinMs`, which is only there to end a test that fails
 */
export async function until(condition: () => boolean | Promise<boolean>, what: string, withinMs = 45_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
