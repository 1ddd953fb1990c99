// What a run leaves out of its manifests: each thing once, with all that ask for it.

const MOST_NAMED = 3;

export class LeftOut {
  /** What is left out → what asks for it, and in which file. */
  private readonly owners = new Map<string, Map<string, string | undefined>>();

  add(owner: string, file: string | undefined, texts: readonly string[]): void {
    for (const text of texts) {
      const owners = this.owners.get(text);
      if (owners === undefined) this.owners.set(text, new Map([[owner, file]]));
      else owners.set(owner, file);
    }
  }

  /** "Deployment shop/a, Pod shop/b and 2 more: livenessProbe is not asked here …". */
  problems(): { readonly text: string; readonly file?: string }[] {
    return [...this.owners].map(([text, owners]) => {
      const names = [...owners.keys()];
      const more = names.length - MOST_NAMED;
      const shown = names.slice(0, MOST_NAMED).join(', ');
      const files = new Set(owners.values());
      const [file] = files.size === 1 ? files : [];
      return { text: `${shown}${more > 0 ? ` and ${more} more` : ''}: ${text}`, ...(file !== undefined && { file }) };
    });
  }
}
