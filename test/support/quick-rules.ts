// The real rule file with its durations made short: what takes minutes in a cluster takes moments in a test.

/** Minutes of `for:` and of ranges become as many times `minute`. @param minute such as "1s" or "200ms" */
export function quickRules(text: string, minute: string): string {
  const [, amount, unit] = /^(\d+)(ms|s)$/.exec(minute)!;
  const quick = text.replace(/(?<=for: |\[)(\d+)m\b/g, (_, minutes) => `${Number(minutes) * Number(amount)}${unit}`);
  if (quick === text) throw new Error('the rules have no minutes');
  return quick;
}
