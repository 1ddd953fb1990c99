// Which Services' endpoints a sidecar needs, and by how many rules: the newest of each Service that it wants, and those
// that it runs.

/**
 * The newest rules of a wanted Service, and the version that the sidecar runs: it goes on with that one when it refuses
 * the newest.
 */
export type Rules = 'newest' | 'running';

export class NeededEndpoints {
  /** Rules, by the Service or the resource that they are of → keys of the Services whose endpoints they need. */
  private readonly needs: Readonly<Record<Rules, Map<string, readonly string[]>>> = { newest: new Map(), running: new Map() };
  /** Key of a Service → how many rules need its endpoints. */
  private readonly users = new Map<string, number>();
  private readonly touched: (key: string) => void;

  /** @param touched is called with the Services whose endpoints may be needed from now on, or no longer */
  constructor(touched: (key: string) => void) {
    this.touched = touched;
  }

  has(key: string): boolean {
    return this.users.has(key);
  }

  /** Keys of the Services whose endpoints are needed. */
  keys(): Iterable<string> {
    return this.users.keys();
  }

  /** The rules of this Service need these endpoints now. */
  set(rules: Rules, name: string, after: readonly string[]): void {
    const needs = this.needs[rules];
    const before = needs.get(name) ?? [];
    if (after.length > 0) needs.set(name, after);
    else needs.delete(name);
    for (const key of after) this.users.set(key, (this.users.get(key) ?? 0) + 1);
    for (const key of before) {
      const left = this.users.get(key)! - 1;
      if (left === 0) this.users.delete(key);
      else this.users.set(key, left);
    }
    for (const key of before) this.touched(key);
    for (const key of after) this.touched(key);
  }
}
