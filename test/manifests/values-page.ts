// Makes docs/reference/values.md of values.yaml and the comments in it that begin with "--".
import { parse } from 'yaml';

interface Row {
  readonly key: string;
  readonly fallback: unknown;
  readonly text: string;
}

const HEAD = `# Values

What \`helm install --set\`, \`weft install --set\` and values files may say. This page is made of
[values.yaml](../../manifests/helm/weft/values.yaml); [values.schema.json](../../manifests/helm/weft/values.schema.json) says what each may be,
and a wrong name or type is refused with the nearest right one. [values-ha.yaml](../../manifests/helm/weft/values-ha.yaml) (\`weft install --ha\`)
is for production.

| key | default | |
|---|---|---|
`;

/** Keys in their order, each with the comment before it. */
export function documentedKeys(source: string): Row[] {
  const values = parse(source, { version: '1.1' }) as unknown;
  const rows: Row[] = [];
  const path: { indent: number; key: string }[] = [];
  let text = '';
  for (const line of source.split('\n')) {
    const comment = /^\s*# -- (.*)$/.exec(line);
    if (comment !== null) text = comment[1];
    const found = /^(\s*)([A-Za-z]\w*):/.exec(line);
    if (found === null) continue;
    while ((path.at(-1)?.indent ?? -1) >= found[1].length) path.pop();
    path.push({ indent: found[1].length, key: found[2] });
    if (text !== '') rows.push({ key: path.map(({ key }) => key).join('.'), fallback: at(values, path), text });
    text = '';
  }
  return rows;
}

export function valuesPage(source: string): string {
  const rows = documentedKeys(source).map(({ key, fallback, text }) => `| \`${key}\` | \`${shown(fallback)}\` | ${text} |\n`);
  return HEAD + rows.join('');
}

function at(values: unknown, path: readonly { key: string }[]): unknown {
  return path.reduce((value, { key }) => (value as Record<string, unknown>)[key], values);
}

function shown(value: unknown): string {
  return value === '' ? '""' : typeof value === 'object' ? JSON.stringify(value) : String(value);
}
